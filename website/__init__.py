"""What no extension of Sphinx does for the documentation, and the checks of the built site."""
