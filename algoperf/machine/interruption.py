"""When the loop should save, and when the cluster wants the trial to stop and go on later.

Slurm sends USR2 some minutes before a job's time is over (`--signal=USR2@...`), and TERM when it ends the job for
whatever reason. The job's end is watched, too, for jobs that were started by hand. USR1 comes from a new run of the
workflow that takes over (`leftovers.py`), INT from a person at the keyboard.
"""

import signal
import threading
import time
from collections.abc import Callable

from algoperf.benchmark.facts import InfrastructureError

# Seconds between checkpoints where no evaluation comes sooner: what a node's sudden death may cost.
CHECKPOINT_PERIOD = 600.0

# Seconds before its end at which a job is told, evaluations aside, and the share of its time that this is at most.
NOTICE = 300
NOTICE_SHARE = 0.1

TAKE_OVER = signal.SIGUSR1
_SIGNALS = (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT, TAKE_OVER)


class InterruptionError(InfrastructureError):
    """The trial was told to stop; its checkpoint is written.

    may_requeue: its job may go on with it later; False where another takes over, or a person wants it to end.
    """

    def __init__(self, sentence: str, may_requeue: bool):
        super().__init__(sentence)
        self.may_requeue = may_requeue


class Watch:
    """Tells the loop, after each step, what is asked of it.

    now: seconds of any clock, for the checkpoints' period. end: when the job ends, in seconds since the epoch; notice:
    seconds before that at which the trial stops by itself.
    """

    def __init__(self, now: Callable[[], float], end: float | None = None, notice: float = 0.0):
        self._now = now
        self._last_checkpoint = now()
        self._stop_at = None if end is None else end - notice
        self._signal: signal.Signals | None = None

    def listen(self) -> None:
        """From here on signals are noted instead of obeyed. Only a process's main thread can listen."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        self._signal = signal.Signals(number)
        if number == signal.SIGINT:  # whoever presses Ctrl-C twice does not want to wait
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @property
    def is_checkpoint_due(self) -> bool:
        return self._now() - self._last_checkpoint >= CHECKPOINT_PERIOD

    @property
    def is_interrupted(self) -> bool:
        return self._signal is not None or self._is_job_ending

    @property
    def _is_job_ending(self) -> bool:
        return self._stop_at is not None and time.time() >= self._stop_at

    def saved(self) -> None:
        """The loop has just written a checkpoint."""
        self._last_checkpoint = self._now()

    def interruption(self, global_step: int, saved_at: int | None) -> InterruptionError:
        """Why the trial stops after this step.

        saved_at: the step of its newest checkpoint, None where it has none. Where that is another, its state could not
        be saved: queued again by itself it would do the same work for ever.
        """
        cause = "the job's time is nearly over" if self._signal is None else f"{self._signal.name} came"
        if saved_at != global_step:
            again = "begins anew" if saved_at is None else f"goes on from step {saved_at:,}"
            return InterruptionError(
                f"{cause}: the trial stops at step {global_step:,}, where its state could not be saved (error.log says "
                f"why); the same command {again}.",
                may_requeue=False,
            )
        return InterruptionError(
            f"{cause}: the trial is saved at step {global_step:,}; the same command goes on from there.",
            may_requeue=self._signal not in (TAKE_OVER, signal.SIGINT),
        )


def is_from_keyboard() -> bool:
    """Whether a KeyboardInterrupt may be a person's: one who listens gets none by the first Ctrl-C."""
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def notice(time_limit: float, evaluation_time: float) -> int:
    """Seconds before its end at which a job of `time_limit` seconds is told that it ends.

    An evaluation may have just begun then, and is not interrupted; a checkpoint is written after it.
    """
    return int(min(NOTICE + 2 * evaluation_time, NOTICE_SHARE * time_limit))
