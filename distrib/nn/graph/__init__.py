"""Graphs of layers: symbolic tensors, and the applications of layers that they describe."""
