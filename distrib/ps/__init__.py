"""Parameter servers: policies without I/O, servers, clients, and the gRPC protocol between them."""
