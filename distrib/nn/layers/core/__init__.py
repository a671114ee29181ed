"""Layers as in `keras.layers`: core."""
