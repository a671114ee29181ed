"""Strategies: how replicas train together."""
