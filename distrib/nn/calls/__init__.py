"""The calls of layers: what they are part of, and what is drawn in them."""
