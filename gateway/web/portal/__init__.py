"""Pages for people: learners see their archive, verifiers check what they were shown."""
