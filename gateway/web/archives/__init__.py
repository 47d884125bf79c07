"""Searches of learners' archives that go on while somebody looks at them."""
