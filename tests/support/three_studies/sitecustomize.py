"""On the `PYTHONPATH` of a test: the mini protocol has three studies of six trials in every process of a workflow."""

import dataclasses

from algoperf.benchmark.protocol import PROTOCOLS

PROTOCOLS["mini"] = dataclasses.replace(PROTOCOLS["mini"], studies=3, trials=6)
