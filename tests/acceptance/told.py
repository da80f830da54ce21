"""Reads events from Prefect's server, which gets them in the background."""

from __future__ import annotations

import time

from prefect import get_client
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.events.schemas.events import Event


def told(name: str, resource: str, count: int = 1) -> list[Event]:
    """Return events, the oldest first, once the server has so many; pytest's own limit bounds the wait."""
    names, resources = EventNameFilter(name=[name]), EventResourceFilter(id=[resource])
    while True:
        # A filter ends at the time it is made.
        with get_client(sync_client=True) as client:
            found = client.read_events(filter=EventFilter(event=names, resource=resources), limit=50).events
        if len(found) >= count:
            return sorted(found, key=lambda event: event.occurred)
        time.sleep(0.1)
