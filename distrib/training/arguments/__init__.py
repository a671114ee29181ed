"""What is passed to `compile` and `fit`, checked and completed."""
