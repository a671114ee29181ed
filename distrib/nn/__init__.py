"""The NumPy training core. It knows no rank: it computes sums over the examples it is given."""
