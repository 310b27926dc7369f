"""The scenarios of misbehaving servers, run against other download clients: `python -m tests.matrix --help`."""
