"""Hostile input at every place where files and words enter; `python -m fuzz --help` from this folder's parent."""
