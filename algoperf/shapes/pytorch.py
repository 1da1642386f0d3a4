"""A cell in PyTorch by shapes: the submission's own steps, on tensors that have no memory."""

import importlib
import traceback
from collections.abc import Sequence
from typing import Any

import torch

from algoperf.backends.pytorch_state import PytorchKinds
from algoperf.backends.state import Export, Restoration
from algoperf.benchmark.registry import load_spec
from algoperf.benchmark.workload import make_workload
from algoperf.fit.cells import Cell, Phase
from algoperf.shapes import batches, device
from algoperf.shapes.meter import Meter
from algoperf.shapes.submissions import largest_point
from algoperf.submission import loading
from algoperf.submission.points import as_hyperparameters

# A step finds what the one before it has left: state of the optimizer, constants that are brought to the device once.
_STEPS = 2


def figures(cell: Cell, phases: Sequence[Phase]) -> dict[str, Any]:
    """What `fit.cells.Figures` has of the cell; of the training step all is told, of the others what they hold."""
    spec = load_spec(cell.workload)
    submission = loading.load(loading.find(cell.submission, "pytorch"))
    point = largest_point(submission.path, cell.workload)
    meter = Meter()
    with device.pretended(cell.count, meter.waited):
        workload = make_workload(spec, "pytorch")  # which has a model of shapes itself, on no device
        with meter:
            return _told(_Run(workload, submission, point, cell.count), phases, meter)


def _told(run: "_Run", phases: Sequence[Phase], meter: Meter) -> dict[str, Any]:
    found: dict[str, Any] = {"peaks": {}, "failures": {}}
    for phase in phases:
        meter.begin_step()
        try:
            getattr(run, phase)(meter)
        except Exception as error:  # whatever it is: it stands in the table
            traceback.print_exc()
            found["failures"][phase] = f"{type(error).__name__}: {error}"
            return found
        found["peaks"][phase] = meter.peak
        if phase == "train":
            found |= {**meter.told(), "state": meter.now}
    return found


class _Run:
    """A trial's parts: the model, the optimizer's state, and batches."""

    def __init__(self, workload: Any, submission: loading.Submission, point: Any, count: int):
        self.workload, self.submission, self.count = workload, submission, count
        self.point = point
        self._begin()

    def _begin(self) -> None:
        spec = self.workload.spec
        with torch.device("meta"):
            model = importlib.import_module(f"{spec.package}.model_pytorch").MODEL(**spec.model)
        self.hooks = device.share_gradients(model) if self.count > 1 else []
        self.model = model
        self.state = self.submission.begin(self.workload, self.model, None, self.point, None)
        self.batches: list[Any] = []

    def train(self, meter: Meter) -> None:
        spec = self.workload.spec
        size = self.submission.batch_size(spec) // self.count
        self.batches = [_placed(batches.training(spec, size)) for _ in range(1 + batches.READ_AHEAD)]
        for number in range(_STEPS):
            meter.begin_step()
            self._step(number)

    def _step(self, number: int) -> None:
        self.state, self.model, _ = self.submission.update_params(
            workload=self.workload,
            current_param_container=self.model,
            current_params_types=self.workload.model_params_types,
            model_state=None,
            hyperparameters=as_hyperparameters(self.point),
            batch=self.batches[0],
            loss_type=self.workload.loss_type,
            optimizer_state=self.state,
            eval_results=[],
            global_step=number,
            rng=None,
            **({"train_state": {}} if self.submission.takes_train_state else {}),
        )

    def evaluation(self, meter: Meter) -> None:
        """One batch, with all that the workload's metrics want of it."""
        spec = self.workload.spec
        if self.submission.prepare_for_eval is not None:
            self.state, self.model, _ = self.submission.prepare_for_eval(
                workload=self.workload,
                current_param_container=self.model,
                current_params_types=self.workload.model_params_types,
                model_state=None,
                hyperparameters=as_hyperparameters(self.point),
                loss_type=self.workload.loss_type,
                optimizer_state=self.state,
                eval_results=[],
                global_step=_STEPS,
                rng=None,
            )
        batch = _placed(batches.evaluation(spec, self.submission.eval_batch_size(spec) // self.count))
        self.workload.evaluated(self.model, batch, batches.wanted(spec))

    def restore(self, meter: Meter) -> None:
        """A checkpoint's state into what a new session begins with."""
        kinds = PytorchKinds(device.DEVICE)
        exported = Export(kinds).of((self.model, self.state, None), "state")
        for hook in self.hooks:  # which hold the model
            hook.remove()
        self.model = self.state = None
        self._begin()
        meter.begin_step()
        self.model, self.state, _ = Restoration(kinds).of((self.model, self.state, None), exported, "state")


def _placed(value: Any) -> Any:
    return batches.placed(value, device.of_shape)
