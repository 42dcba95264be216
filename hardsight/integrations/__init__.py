"""Doors to other libraries: each module is opened by name, and needs its library only then."""
