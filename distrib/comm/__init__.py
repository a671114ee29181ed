"""Collective communication between ranks. Knows nothing of training."""
