"""The effects: each module does one thing to the world and decides nothing."""
