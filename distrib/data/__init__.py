"""Data sets: batches, schedules and files. Knows no rank; works on (index, count)."""
