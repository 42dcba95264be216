"""Pretrained models by name, ``embedding="LIBRARY:NAME"``: one file here for each library."""
