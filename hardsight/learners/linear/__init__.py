"""Linear models: ridge in closed form and logistic regression."""
