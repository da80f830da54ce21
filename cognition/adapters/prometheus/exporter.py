"""Serves metrics over HTTP.

Everything is read from PostgreSQL when somebody scrapes, never counted in a process: a flow run that lives for seconds
is gone before anybody could scrape it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic, time
from typing import Final

from prometheus_client import generate_latest, start_http_server
from prometheus_client.metrics_core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from cognition.adapters.prometheus.metrics import PREFIX, gauge, metrics_of
from cognition.domain.measured import Measured
from cognition.errors import CognitionError, ConfigurationError

# Two scrapers, or one and a person, cost the store one reading.
_KEPT_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class MeasuredCollector(Collector):
    """Tells Prometheus what is measured; may be scraped from several threads."""

    def __init__(
        self, read: Callable[[], Measured], version: str, tenant: str, *, clock: Callable[[], float] = monotonic
    ) -> None:
        """Read nothing yet.

        Args:
            read: Reads what monitoring sees.
            version: Of this package.
            tenant: Whose figures they are.
            clock: Returns seconds that never run backwards. For tests.
        """
        self._read = read
        self._build = {"version": version, "tenant": tenant}
        self._clock = clock
        self._models: set[str] = set()
        self._lock = threading.Lock()
        self._kept: tuple[float, list[Metric]] | None = None

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: that would read the store before anybody scrapes."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return all metrics; while the store is away, that it is."""
        with self._lock:
            if self._kept is None or self._clock() - self._kept[0] >= _KEPT_SECONDS:
                self._kept = self._clock(), list(self._metrics())
            metrics = self._kept[1]
        yield from metrics

    def _metrics(self) -> Iterator[Metric]:
        started, success = self._clock(), 1
        try:
            yield from metrics_of(self._read(), self._models)
        except CognitionError as error:
            _log.warning("Nothing can be measured now: %s", error)
            success = 0
        yield InfoMetricFamily(f"{PREFIX}build", "What exports, and whose figures.", self._build)
        yield gauge("collect_success", "Whether the store could be read.", success)
        yield gauge("collect_duration_seconds", "How long reading it took.", self._clock() - started)
        yield gauge("collect_timestamp_seconds", "When it was read, in seconds since 1970.", time())


def text_of(collector: MeasuredCollector) -> str:
    """Return all metrics in the text format of Prometheus."""
    return generate_latest(_registry(collector)).decode()


def samples_of(collector: MeasuredCollector) -> list[dict[str, object]]:
    """Return all figures with their names and labels, money as decimals."""
    return [
        {"name": sample.name, "labels": sample.labels, "value": sample.value}
        for metric in collector.collect()
        for sample in metric.samples
    ]


@contextmanager
def served(collector: MeasuredCollector, host: str, port: int) -> Generator[int]:
    """Serve the metrics over HTTP in a thread, at any path; yield the port.

    Args:
        collector: What is served.
        host: The address to listen at.
        port: The port; 0 takes a free one.

    Raises:
        ConfigurationError: Nobody can listen there.
    """
    try:
        server, thread = start_http_server(port, host, _registry(collector))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(
            f"Nobody can listen at {host}:{port} ({reason}); choose another --host or --port."
        ) from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _registry(collector: MeasuredCollector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry
