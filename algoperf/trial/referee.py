"""What of the benchmark's rules a program can check: what falsifies numbers is refused, what needs a judge is flagged.

docs/rules.md lists every check, and what it costs. While a submission's code runs, the referee listens; it compares and
measures only when the clock has stopped.
"""

import contextlib
import copy
import dataclasses
import functools
import importlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from algoperf.backends import Backend
from algoperf.benchmark.facts import SubmissionError
from algoperf.benchmark.workload import Workload
from algoperf.trial import conduct


class RuleError(SubmissionError):
    """The submission broke a rule, so that its numbers do not count. Its text is the sentence for `error.log`."""


@dataclasses.dataclass(frozen=True)
class Flag:
    """What a person has to judge. rule: which one, as docs/rules.md calls it. what: a sentence."""

    rule: str
    what: str
    global_step: int


class Referee:
    """Watches one trial's submission. Made before the submission is imported, as that runs its code already.

    flags: what it has seen so far; nothing is noted twice.
    """

    def __init__(self, backend: Backend, workload: Workload):
        self.flags: list[Flag] = []
        self.global_step = 0
        self._backend = backend
        self._workload = workload
        self._settings = backend.settings()
        for metric in workload.spec.metrics:  # before a submission can replace anything in them
            importlib.import_module(f"workloads.metrics.{metric}")
        self._code = conduct.code_of_benchmark()
        self._heard = conduct.Heard([(random, "seed"), (np.random, "seed"), *backend.seeding_functions()])
        self._heard.data = workload.data_dir / workload.spec.dataset
        self._params = self._layout = None

    def begin(self, params: Any, eval_batch_size: Callable[[], int]) -> None:
        """The trial begins with these parameters. eval_batch_size: asks the submission."""
        self._facts, self._spec = vars(self._workload).copy(), copy.deepcopy(self._workload.spec)
        self._params, self._layout = params, self._backend.layout(params)
        self._described = self._backend.describe(params)
        self._eval_batch_size, self._agreed = eval_batch_size, eval_batch_size()

    def go_on(self, params: Any, flags: list[Flag]) -> None:
        """The trial goes on from a checkpoint, with what was noted until then."""
        self._compare_parameters(params)
        noted_now, self.flags = self.flags, flags
        for flag in noted_now:
            self.flag(flag.rule, flag.what)

    def listening(self) -> contextlib.AbstractContextManager[None]:
        """While the submission's code runs, on the clock: some microseconds."""
        return self._heard.listening()

    def check_parameters(self, params: Any, global_step: int) -> None:
        """After each step, on the clock: what the parameters' shapes and types are, if they are another object.

        Raises RuleError. Costs 0.4 microseconds for each array in JAX, and nothing in PyTorch, where parameters
        change in place; `inspect` looks at those.
        """
        self.global_step = global_step
        if params is not self._params:
            self._compare_parameters(params)

    def inspect(self, params: Any, optimizer_state: Any) -> None:
        """All that can be compared at leisure, when the clock has stopped. Raises RuleError."""
        self._compare_parameters(params)
        self._compare_workload()
        self._compare_eval_batch_size()
        if self._heard.files:
            raise RuleError(
                f"the submission read {self._heard.files[0]}: the prepared data, validation and test among them, are "
                "the benchmark's; training examples come from the input queue."
            )
        for rule, what in self._heard.take():
            self.flag(rule, what)
        for name, value in self._backend.settings().items():
            if value != self._settings.get(name):
                self.flag("settings", f"{name} was {self._settings.get(name)} and is {value}.")
        for where in self._backend.not_exported(optimizer_state, "optimizer_state"):
            self.flag("checkpoint", f"a checkpoint does not keep {where}: an interrupted trial gets a new one.")

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """During an evaluation: it is free, so nothing of the submission may compute. Raises RuleError at its end."""
        observed = conduct.Activity(self._heard)
        for name in observed.threads:
            self.flag("threads", f"the submission's thread {name} was alive during an evaluation.")
        yield
        if busy := observed.busy():
            raise RuleError(f"the submission computed during an evaluation, which is free: {busy}.")

    def flag(self, rule: str, what: str) -> None:
        if not any(flag.rule == rule and flag.what == what for flag in self.flags):
            self.flags.append(Flag(rule, what, self.global_step))

    def _compare_parameters(self, params: Any) -> None:
        try:
            if self._backend.layout(params) == self._layout:
                self._params = params
                return
            found = self._backend.describe(params)
        except Exception as error:  # there is nothing that a submission cannot return
            raise RuleError(f"the submission returned a {type(params).__name__} as its parameters.") from error
        names = (*self._described, *found)
        name = next((name for name in names if self._described.get(name) != found.get(name)), "its structure")
        was, is_now = self._described.get(name, "not there"), found.get(name, "not there")
        raise RuleError(f"the submission changed the model: {name} was {was} and is {is_now}.")

    def _compare_eval_batch_size(self) -> None:
        try:
            asked = self._eval_batch_size()
        except Exception as error:
            raise RuleError(f"the submission does not say its evaluation batch size any more: {error!r}.") from error
        if asked != self._agreed:
            raise RuleError(f"the submission changed its evaluation batch size from {self._agreed} to {asked}.")

    def _compare_workload(self) -> None:
        workload = self._workload
        changed = [name for name, value in self._facts.items() if vars(workload).get(name) is not value]
        added = [name for name in set(vars(workload)) - set(self._facts) if not _is_cached(workload, name)]
        if workload.spec != self._spec:
            changed.append("spec")
        if changed or added:
            raise RuleError(f"the submission changed the workload: its {(*changed, *added)[0]} is another.")
        if replaced := conduct.replaced(self._code):
            raise RuleError(f"the submission changed the benchmark's own code: {replaced} is another.")


def _is_cached(workload: Workload, name: str) -> bool:
    return isinstance(getattr(type(workload), name, None), functools.cached_property)
