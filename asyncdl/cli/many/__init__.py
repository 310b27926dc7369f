"""The command over many files: lists in, rows to requests, one display for all of them; no downloading of its own."""
