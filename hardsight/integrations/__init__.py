"""Integrations with other libraries: each module is imported by name, and needs its library only then."""
