"""The command `asyncdl`: arguments, progress display, JSON events, exit codes; no downloading of its own."""
