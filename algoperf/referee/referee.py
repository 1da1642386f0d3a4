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
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.backends import Backend
from algoperf.benchmark.facts import SubmissionError
from algoperf.benchmark.workload import Workload
from algoperf.referee import benchmark_code, conduct
from algoperf.referee.compiled import CompileCaches
from algoperf.referee.own_code import OwnCode
from algoperf.referee.places import Places
from algoperf.submission.whose import Owner

# Seconds that a submission may take for what is free before a person should ask what it does.
FREE_SECONDS = 60.0


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

    folder: the submission's. compile_caches: those that it has to use. flags: what it has seen so far;
    nothing is noted twice. free_seconds: what the submission took for each of the things that are free, where it did
    one again the last time.
    """

    def __init__(
        self,
        backend: Backend,
        workload: Workload,
        folder: Path,
        compile_caches: CompileCaches,
    ):
        self.flags: list[Flag] = []
        self.free_seconds: dict[str, float] = {}
        self.global_step = 0
        self._backend = backend
        self._workload = workload
        self._settings = backend.settings()
        for metric in workload.spec.metrics:  # before a submission can replace anything in them
            importlib.import_module(f"workloads.metrics.{metric}")
        self._code = benchmark_code.Code()
        self._owner = Owner(folder)
        self._heard = conduct.Heard(
            seeders=[(random, "seed"), (np.random, "seed"), *backend.seeding_functions()],
            writers=backend.writing_functions(),
            places=Places(workload.data_dir, folder, [compile_caches.folder]),
        )
        self._compile_caches = compile_caches
        self._params = self._layout = None

    def begin(self, params: Any) -> None:
        """The trial begins with these parameters."""
        for name in _cached_properties(self._workload):  # what is made later could be made by a submission
            getattr(self._workload, name)
        self._facts, self._spec = _facts(self._workload), copy.deepcopy(self._workload.spec)
        self._params, self._layout = params, self._backend.layout(params)
        self._described = self._backend.describe(params)

    def look_through(self) -> None:
        """The submission is loaded: its code is read."""
        self._heard.look_through()

    @contextlib.contextmanager
    def free(self, what: str) -> Iterator[None]:
        """The submission does something that is free: it is listened to, and timed."""
        begin = time.monotonic()
        with self.listening():
            yield
        if elsewhere := self._compile_caches.elsewhere(self._backend):
            self.flag("compile_cache", f"the submission asked for a compile cache in {elsewhere}, which is not used.")
            self._compile_caches.use(self._backend)
        spent = self.free_seconds[what] = time.monotonic() - begin
        if spent > FREE_SECONDS:
            self.flag("free_time", f"{what} took the submission more than {FREE_SECONDS:.0f} s, which are free.")

    @contextlib.contextmanager
    def initialising(self, params: Any) -> Iterator[None]:
        """The submission makes its optimizer state, which is free as long as it trains nothing."""
        are_others = self._backend.remember(params)
        with self.free("init_optimizer_state"):
            yield
            self._backend.wait()
        if are_others():
            self.flag("initialisation", "init_optimizer_state changed the parameters, which the workload initialises.")

    @contextlib.contextmanager
    def while_stopped(self, charge: Callable[[float], None]) -> Iterator[None]:
        """The clock stands: what of the submission's code runs nevertheless, devices included, is told to `charge`.

        Raises RuleError where that cannot be known.
        """
        with OwnCode(self._owner, charge) as self._own_code:
            yield
        if self._own_code.is_unseen:
            raise RuleError(
                "the submission called sys.setprofile, or began a profile, in code that runs while the clock stands (a "
                "state_dict for example): how long that code ran cannot be told."
            )
        if self._own_code.charged:
            begin = time.monotonic()
            self._backend.wait()
            charge(time.monotonic() - begin)

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
        if elsewhere := self._compile_caches.elsewhere(self._backend):
            raise RuleError(
                f"the submission keeps what it compiles in {elsewhere}: a trial begins with empty caches of its own, "
                "or what is charged would depend on those before it."
            )
        if self._heard.files:
            raise RuleError(
                f"the submission read {self._heard.files[0]}: the data, raw or prepared, validation and test among "
                "them, are the benchmark's; training examples come from the input queue."
            )
        for rule, what in self._heard.take():
            self.flag(rule, what)
        for attribute in self._backend.foreign_attributes(params):
            self.flag("attributes", f"{attribute} is the submission's.")
        for hooks in self._backend.hooks(params):
            self.flag("hooks", f"there are {hooks}, which evaluations set aside.")
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
        before = len(self._own_code.names)
        yield
        for name in self._own_code.names[before:]:
            self.flag("evaluation", f"the submission's {name} ran within an evaluation.")
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

    def _compare_workload(self) -> None:
        facts = _facts(self._workload)
        changed = [name for name in {**self._facts, **facts} if facts.get(name) is not self._facts.get(name)]
        if self._workload.spec != self._spec:
            changed.append("spec")
        if changed:
            raise RuleError(f"the submission changed the workload: its {changed[0]} is another.")
        if replaced := self._code.replaced():
            raise RuleError(f"the submission changed the benchmark's own code: {replaced} is another.")


def _cached_properties(workload: Workload) -> list[str]:
    members = (item for cls in type(workload).__mro__ for item in vars(cls).items())
    return [name for name, value in members if isinstance(value, functools.cached_property)]


def _facts(workload: Workload) -> dict[str, Any]:
    """The attributes of the workload, and of the backend that it holds."""
    own = vars(workload).copy()
    return own | {
        f"{name}.{part}": value for name in own if name == "_backend" for part, value in vars(own[name]).items()
    }
