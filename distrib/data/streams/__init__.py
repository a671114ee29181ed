"""Data that comes in batches: whatever `fit` takes besides arrays."""
