"""The node's record source and the files that fill it."""
