"""The asking side: compose, dispatch, verify, log, merge, present."""
