"""Downloads without end from a server that faults at random, to see what grows: `python -m tests.soak --help`."""
