"""The parameter server: policies without I/O, the values a task keeps, and gRPC around them."""
