"""What a crash can leave on a disk, and what the next download makes of it: `python -m tests.crash --help`."""
