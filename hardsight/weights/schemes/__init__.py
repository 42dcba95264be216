"""The catalogue of schemes, a module a family."""
