"""What monitoring sees, told to Prometheus."""

from cognition.adapters.prometheus.exporter import MeasuredCollector, samples_of, served, text_of
from cognition.adapters.prometheus.metrics import metrics_of

__all__ = ["MeasuredCollector", "metrics_of", "samples_of", "served", "text_of"]
