"""What is looked at in PyTorch: cuDNN's LSTM, steps and where they wait, and how ResNet is best run."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.steps import BATCH, Row, Steps
from workloads.librispeech_deepspeech import model_pytorch

HAS_GPU = torch.cuda.is_available()
_LENGTHS = np.array([40, 1, 17, 33])
_CLOSE = 1e-4  # relative, of sums in another order


def lstm(is_tiny: bool) -> Iterator[Row]:
    """The path by cuDNN against the loop, of which the tests are: values and gradients at ragged lengths."""
    del is_tiny
    expected = f"as the loop, within {_CLOSE:g}"
    if not HAS_GPU:
        yield Row("LSTM by cuDNN", expected, "needs a GPU", None)
        return
    torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    paddings = torch.tensor(np.arange(_LENGTHS.max()) >= _LENGTHS[:, None], dtype=torch.float32, device="cuda")
    module = model_pytorch.Lstm(64).to("cuda")
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(*paddings.shape, 64, device="cuda")
    found = {}
    for way, computed in {"cudnn": module, "loop": module._by_loop}.items():
        module.zero_grad()
        given = x.clone().requires_grad_()
        y = computed(given, paddings) * (1 - paddings).unsqueeze(-1)
        (y**2).sum().backward()
        found[way] = [y.detach(), given.grad, *(parameter.grad for parameter in module.parameters())]
    worst = max(float((a - b).norm() / b.norm()) for a, b in zip(found["cudnn"], found["loop"], strict=True))
    yield Row("LSTM by cuDNN", expected, f"worst relative error {worst:.1e}", worst < _CLOSE)


def pytorch(is_tiny: bool) -> Iterator[Row]:
    for name in BATCH:
        _begin()
        steps = Steps(name, "pytorch", is_tiny)
        yield steps.row(f"pytorch {name}", 1 if is_tiny else 6)
        if HAS_GPU:
            waits = _waits(steps)
            yield Row(f"pytorch {name}: waits in a step", "none", ", ".join(waits) or "none", not waits)
        del steps


def _begin() -> None:
    if HAS_GPU:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _waits(steps: Steps) -> list[str]:
    """Lines that wait for the device in a step."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            steps.one()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sorted({f"{Path(w.filename).name}:{w.lineno}" for w in seen if "synchroniz" in str(w.message)})


def pytorch_resnet(is_tiny: bool) -> Iterator[Row]:
    """What of layout, cuDNN's search and compilation a trial should have."""
    ways: dict[str, Callable[[Any], Any]] = {
        "as it is": lambda model: model,
        "cudnn.benchmark": lambda model: model,
        "contiguous": lambda model: model.to(memory_format=torch.contiguous_format),
        "channels last": lambda model: model.to(memory_format=torch.channels_last),
        **({} if is_tiny else {"torch.compile": torch.compile}),
    }
    for way, wrap in ways.items():
        _begin()
        with _searching(way == "cudnn.benchmark"):
            yield Steps("imagenet_resnet", "pytorch", is_tiny, wrap).row(
                f"pytorch imagenet_resnet, {way}", 1 if is_tiny else 8
            )


@contextlib.contextmanager
def _searching(is_on: bool) -> Iterator[None]:
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = is_on or before
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
