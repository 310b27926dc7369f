"""Where URLs come from: providers ready to use, each in a module of its own."""
