"""Who may ask what: purposes, grants, rates."""
