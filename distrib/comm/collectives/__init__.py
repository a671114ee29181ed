"""Implementations of the collectives: all-reduce, reduce-scatter, all-gather, broadcast."""
