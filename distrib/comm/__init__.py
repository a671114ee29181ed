"""Arrays between ranks. It knows no learning."""
