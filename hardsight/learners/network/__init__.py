"""Neural networks: training many members at once, in native code or in PyTorch."""
