"""The rules of optimizers: how gradients and state change values, one a file."""
