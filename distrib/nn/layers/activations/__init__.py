"""Layers as in `keras.layers`: activation functions."""
