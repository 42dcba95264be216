"""What weights do to training: the weights themselves, the optimization and the generalization."""
