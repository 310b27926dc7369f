"""Pure decisions: values in, values out. Nothing here waits, logs, reads a clock, rolls a die or touches a file."""
