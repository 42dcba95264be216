"""Safe file access: atomic writes, locks, size limits, and the formats that results are kept in."""
