"""Base: what every part of the package uses, and that knows nothing of training or of processes."""
