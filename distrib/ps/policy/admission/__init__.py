"""Which worker may compute what, and which gradients become updates."""
