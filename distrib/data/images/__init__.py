"""Images: files and arrays of them, as batches, with the names and results of Keras."""
