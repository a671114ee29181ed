"""The loops of `fit` and `evaluate`."""
