"""One folder a foreign system."""
