"""Real PostgreSQL and Valkey servers from package wheels, shared by every process of the machine."""

from cognition.adapters.embedded.attach import EmbeddedServers, ensure_running, status, stop
from cognition.adapters.embedded.state import ServerStatus

__all__ = ["EmbeddedServers", "ServerStatus", "ensure_running", "status", "stop"]
