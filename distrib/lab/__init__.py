"""Experiments about distributed training, without a cluster."""
