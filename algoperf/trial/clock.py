"""Charged and free seconds of a trial.

Charged time is what a submission pays for: selecting data, compiling and running its updates, preparing for an
evaluation, and its own code wherever that runs after the trial has begun. Everything else is free: setting up,
evaluating, logging, saving, restoring (Dahl et al. 2023, section 4.2).
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Literal

FreeActivity = Literal["evaluation", "logging"]


class Clock:
    """Adds up seconds. `now` gives the present in seconds and is passed in, so that tests can prove every rule.

    charged: seconds the submission paid for, of all sessions of the trial. free: seconds by activity.
    """

    def __init__(self, now: Callable[[], float], charged: float = 0.0, free: dict[FreeActivity, float] | None = None):
        self._now = now
        self._charged = charged
        self._free: dict[FreeActivity, float] = {"evaluation": 0.0, "logging": 0.0, **(free or {})}
        self._running_since: float | None = None
        self._session_start = now()

    @property
    def charged(self) -> float:
        running = 0.0 if self._running_since is None else self._now() - self._running_since
        return self._charged + running

    @property
    def session(self) -> float:
        """Seconds since this process began the trial or took it up again, charged and free."""
        return self._now() - self._session_start

    @property
    def state(self) -> dict:
        """What a checkpoint keeps; `Clock(now, **state)` goes on from it."""
        return {"charged": self.charged, "free": dict(self._free)}

    def start(self) -> None:
        """From here on the submission pays."""
        assert self._running_since is None, "the clock is already charging"
        self._running_since = self._now()

    def stop(self) -> None:
        """From here on time is free. Call it only after the device has finished what the submission queued."""
        assert self._running_since is not None, "the clock is not charging"
        self._charged += self._now() - self._running_since
        self._running_since = None

    def charge(self, seconds: float) -> None:
        """Adds what the submission spent while the clock stood."""
        assert self._running_since is None, "the clock is charging these seconds already"
        self._charged += seconds

    def spent(self, activity: FreeActivity) -> float:
        """Free seconds of one activity, of all sessions of the trial."""
        return self._free[activity]

    @contextlib.contextmanager
    def freely(self, activity: FreeActivity) -> Iterator[None]:
        """Counts the seconds of the block as free. The clock must not be charging."""
        assert self._running_since is None, f"{activity} would be charged to the submission"
        start = self._now()
        try:
            yield
        finally:
            self._free[activity] += self._now() - start
