"""Closed-form and convex learners: ridge, logistic and softmax regression."""
