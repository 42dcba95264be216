"""Files of labelling tools: tasks with the labels that people gave, read from a tool's own format and written in it."""
