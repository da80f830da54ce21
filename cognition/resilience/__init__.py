"""One resilience pattern a file."""
