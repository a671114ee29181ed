"""Saving and restoring a training."""
