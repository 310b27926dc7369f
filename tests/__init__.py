"""The tests; a package so that `tests.support` is ours, whatever else is called `tests` on this machine."""
