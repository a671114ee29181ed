"""Files: checkpoints, TensorBoard events, locks."""
