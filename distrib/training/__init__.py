"""Training: models, the loop of `fit`, callbacks and checkpoints."""
