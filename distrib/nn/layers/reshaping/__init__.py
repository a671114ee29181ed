"""Layers as in `keras.layers`: reshaping."""
