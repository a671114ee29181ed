"""The worker's side of `ParameterServerStrategy`."""
