"""Scheduled maintenance flows: thin `@flow` wrappers around `cognition.services`."""
