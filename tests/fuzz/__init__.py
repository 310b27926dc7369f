"""Fuzzing of what reads text from strangers: `python -m tests.fuzz --help`."""
