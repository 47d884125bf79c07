"""A country of 31 nodes with measured costs, as a discrete-event simulation: where it gets tight first."""
