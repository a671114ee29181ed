"""Layers as in `keras.layers`: normalization."""
