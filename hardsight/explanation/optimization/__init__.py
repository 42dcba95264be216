"""What weights do to optimization: training dynamics, gradient flow, linear models and the maximum margin."""
