"""Layers as in `keras.layers`: preparing numbers."""
