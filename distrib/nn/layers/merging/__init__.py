"""Layers as in `keras.layers`: several inputs become one output."""
