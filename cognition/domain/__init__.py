"""Values and decisions: no I/O, no clock, no environment; time is an argument."""
