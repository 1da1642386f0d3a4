"""In the place of `algoperf.logger_utils`: the class of `workload.metrics_logger`, to annotate and to ask with."""

from algoperf.records.official_files import MetricsLogger as MetricLogger

__all__ = ["MetricLogger"]
