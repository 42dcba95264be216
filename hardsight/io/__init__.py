"""Safe file access: atomic writes, locks, size limits, and the formats in which results are kept."""
