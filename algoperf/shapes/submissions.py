"""The point of a submission by which its memory is told."""

from pathlib import Path

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.protocol import load_protocol
from algoperf.submission import search
from algoperf.submission.points import hyperparameter_points

_PROTOCOL = "v0.6"


def largest_point(path: Path, workload: str) -> search.Point:
    """Of those that its first study would try, one with the most dropout, which keeps masks: else all take alike.

    Raises UsageError where the submission has no points.
    """
    protocol = load_protocol(_PROTOCOL)
    try:
        points = hyperparameter_points(path, protocol, "external", workload)
    except UsageError:
        points = hyperparameter_points(path, protocol, "self", workload)
    return max(points, key=lambda point: point.get("dropout_rate") or 0.0)
