"""The propositions, a module for each part of the theory."""
