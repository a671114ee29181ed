"""What runs on a host beside a task of a cluster."""
