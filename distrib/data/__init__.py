"""Which examples: batches, shards, files. It knows no rank; it is told (index, count)."""
