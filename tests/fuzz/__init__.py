"""Hostile input at every door through which files and words enter; `python -m fuzz --help` from this folder's parent."""
