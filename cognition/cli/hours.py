"""How far back a command may look."""

MOST_HOURS = 100 * 365 * 24
"""A hundred years; times before the year 1 cannot be computed with."""
