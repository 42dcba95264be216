"""Sentences whose tokens have tags: parts of speech, named entities, chunks."""
