"""How the log of ps:0 reaches the other parameter servers, and what they report back."""
