"""The schemes, one module per family: a function each, with ``scheme`` above it."""
