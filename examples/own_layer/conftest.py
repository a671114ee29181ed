"""Loads the plugin of `distrib.testing`."""

pytest_plugins = ["distrib.testing.pytest_plugin"]
