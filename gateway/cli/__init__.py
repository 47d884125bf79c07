"""The command line. No logic: it reads arguments, calls the node, shows results."""
