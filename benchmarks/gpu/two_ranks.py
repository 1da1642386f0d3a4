"""One of two processes that share a GPU: their sums go through gloo, for NCCL refuses two of one device."""

from collections.abc import Iterator
from unittest import mock

import torch
from torch import distributed

import algoperf.backends.pytorch as backend
from algoperf import pytorch_utils
from benchmarks.gpu.steps import Row, Steps


def rank(name: str, is_tiny: bool) -> Iterator[Row]:
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    begin, setup = distributed.init_process_group, (True, 0, device, 2)
    gloo = "cpu:gloo,cuda:gloo" if device.type == "cuda" else "gloo"
    with (
        mock.patch.object(backend, "pytorch_setup", lambda: setup),
        mock.patch.object(pytorch_utils, "pytorch_setup", lambda: setup),
        mock.patch.object(distributed, "init_process_group", lambda *_, **others: begin(gloo, **others)),
    ):
        steps = Steps(name, "pytorch", is_tiny)
        yield steps.row(name, 1 if is_tiny else 4)
