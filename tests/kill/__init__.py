"""Real processes that die in the middle of a download, and others that go on with what they left."""
