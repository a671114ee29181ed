"""How gradients become updates on replicas that meet in every step."""
