"""What travels between workers and parameter servers, and how."""
