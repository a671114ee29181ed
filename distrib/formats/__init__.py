"""Files of other frameworks, as plain values: configurations, and arrays by name. Knows no model and no strategy."""
