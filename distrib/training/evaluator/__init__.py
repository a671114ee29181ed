"""The evaluator: a task that evaluates the checkpoints of the others."""
