"""Whatever ends the processes of a trial, whenever: it is the trial that never stopped, or it says that it is not."""

import contextlib
import functools
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from tests.support import kept_states
from tests.support.killed_trials import End, sessions
from tests.support.little_trials import evaluations, little_data, logged


@pytest.fixture(scope="module")
def data(data_dir, tmp_path_factory):
    return data_dir, little_data(data_dir, tmp_path_factory.mktemp("little"))


# Where an end comes: the process, and which part of the changes that it makes in a whole trial is made before.
ENDS = st.tuples(st.sampled_from(["kill", "full", "USR2", "kill"]), st.integers(0, 1), st.floats(0, 1))
# What that process raises then, and one whose trial cannot go on.
ENDED = {"kill": "killed", "full": "InfrastructureError", "USR2": "InterruptionError"}
CANNOT_GO_ON = "InfrastructureError"
# And how the others of that process may end: as srun and torchrun end them, or as JAX ends what has lost its first.
OF_OTHERS = ("killed", f"code {-signal.SIGABRT}")
FEW = 2  # examples, without what is compiled for long
PLANS = st.lists(ENDS, min_size=1, max_size=3)


def names(framework, with_compiled):
    """What a submission keeps; a few keep what cannot come back."""
    every = kept_states.states_of(framework) + (sorted(kept_states.COMPILED[framework]) if with_compiled else [])
    kept = st.lists(st.sampled_from(every), min_size=4, max_size=9, unique=True)
    lost = st.sampled_from([[], [], []] + [[name] for name in sorted(kept_states.LOST[framework])])
    return st.tuples(kept, lost)


class Trials:
    """Two of one submission: one that is left alone, and one that is interrupted."""

    def __init__(self, folder, session, kept):
        """session: takes a submission, a trial's folder and an end, and says how each process has ended."""
        submission = kept_states.submission(folder / "one", session.framework, kept)
        self._session = functools.partial(session, submission)
        self.whole, self.out, self.rows = folder / "whole", folder / "interrupted", []
        self.expected = self._session(self.whole, None)
        for left in self.expected:
            assert left.kind == "result", left
            assert left.what["status"] == "budget_exhausted", (self.whole / "error.log").read_text()

    def go_on(self, end=None):
        """How the processes of a session have ended, one of them maybe by `end`."""
        lefts = self._session(self.out, end)
        found = evaluations(self.out) if (self.out / "eval_measurements.csv").exists() else []
        assert found[: len(self.rows)] == self.rows  # what is on the disk is never changed
        self.rows = found
        return lefts

    def is_interrupted(self, what, rank, part):
        """Whether a process's session has ended early by what came to it, and not with the trial."""
        rank = 0 if what == "USR2" else min(rank, len(self.expected) - 1)  # the first one says when all stop
        end = End(what, 1 + int(part * self.expected[rank].changes), rank)
        kinds = [left.kind for left in self.go_on(end)]
        assert kinds[rank] in (ENDED[what], "result", CANNOT_GO_ON), kinds
        assert set(kinds) - {kinds[rank]} <= {*ENDED.values(), "result", *OF_OTHERS}, kinds
        return set(kinds) != {"result"}

    def is_the_whole(self, lefts):
        names = ("status", "global_step", "charged_time", "time_to_target")
        results = [[left.what[name] for name in names] for left in lefts if left.kind == "result"]
        return (
            results == [[left.what[name] for name in names] for left in self.expected]
            and evaluations(self.out) == evaluations(self.whole)
            and logged(self.out) == logged(self.whole)
        )


def said(lefts):
    """The sentences on what has not come back."""
    flags = [flag for left in lefts if left.kind == "result" for flag in left.what["flags"]]
    refusals = [left.what for left in lefts if left.kind == CANNOT_GO_ON]
    return [flag["what"] for flag in flags if flag["rule"] != "metrics"] + refusals


class Session:
    """A session of so many processes."""

    def __init__(self, asked, data, framework, processes):
        self.framework = framework
        self._asked, self._data, self._processes = asked, data, processes

    def __call__(self, submission, out, end):
        return self._asked.session(submission, out, self._data, self.framework, self._processes, end)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Whom to ask for sessions, by framework and whether each trial keeps what it compiles to itself: two tests of one
    kind have the same."""
    with contextlib.ExitStack() as begun:

        @functools.cache
        def of(framework, with_own_caches):
            return begun.enter_context(sessions(framework, tmp_path_factory.mktemp("asked") / "log", with_own_caches))

        yield of


LANDING = pytest.mark.landing("interruptions of a few states")
MANY = pytest.mark.nightly("many interruptions of many states")


@pytest.mark.parametrize(
    ("framework", "processes", "examples"),
    [
        pytest.param("pytorch", 1, 2, marks=LANDING),
        pytest.param("pytorch", 2, 1, marks=LANDING),
        pytest.param("jax", 1, 1, marks=MANY),
        pytest.param("pytorch", 1, 12, marks=MANY),
        pytest.param("pytorch", 2, 12, marks=MANY),
        pytest.param("jax", 1, 4, marks=MANY),
        pytest.param("jax", 2, 4, marks=MANY),
    ],
)
def test_whatever_interrupts_a_trial_it_is_the_one_that_never_stopped(framework, processes, examples, data, asked):
    # Each example is many seconds of a machine, and says itself what it was: none is made smaller.
    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate],
    )
    @given(names=names(framework, with_compiled=examples > FEW), plan=PLANS)
    def holds(names, plan):
        (kept, lost), session = names, Session(asked(framework, examples > FEW), data, framework, processes)
        with tempfile.TemporaryDirectory() as folder:
            trials = Trials(Path(folder), session, kept + lost)
            for end in plan:
                if not trials.is_interrupted(*end):
                    break
            lefts = trials.go_on()
            note(f"{kept} {lost} {plan}: {trials.is_the_whole(lefts)} {said(lefts)}")
            assert trials.is_the_whole(lefts) or said(lefts)
            assert lost or not said(lefts)

    holds()
