"""On the `PYTHONPATH` of a test: the mini protocol with three studies of six trials, in every process of its workflow."""

import dataclasses

from algoperf.benchmark.protocol import PROTOCOLS

PROTOCOLS["mini"] = dataclasses.replace(PROTOCOLS["mini"], studies=3, trials=6)
