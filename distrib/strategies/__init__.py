"""How replicas become one training run."""
