"""Fault campaigns. `scripts/campaign.py` runs them; the tests run small samples."""
