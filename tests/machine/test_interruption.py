"""When the loop saves and when it stops: signals, the job's end, and the time since the last checkpoint."""

import signal
import threading
import time

import pytest

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import interruption
from algoperf.machine.interruption import CHECKPOINT_PERIOD, Watch

SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT)


@pytest.fixture
def handlers():
    """This process's own come back after the test."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def watch(handlers):
    listening = Watch(now=lambda: 0.0)
    listening.listen()
    return listening


def test_nothing_is_asked_of_an_undisturbed_trial(watch):
    assert not watch.is_interrupted
    assert not watch.is_checkpoint_due


@pytest.mark.parametrize(
    ("number", "may_requeue"),
    [
        (signal.SIGUSR2, True),  # the job's time is nearly over
        (signal.SIGTERM, True),  # Slurm ends the job; whether it may be queued again, `job.py` asks Slurm
        (signal.SIGUSR1, False),  # a new run of the workflow takes over
        (signal.SIGINT, False),  # a person wants it to end
    ],
)
def test_a_signal_is_noted_and_not_obeyed(watch, number, may_requeue):
    signal.raise_signal(number)
    assert watch.is_interrupted
    error = watch.interruption(1_234, 1_234)
    assert isinstance(error, InfrastructureError)
    assert str(error) == f"{number.name} came: the trial is saved at step 1,234; the same command goes on from there."
    assert error.may_requeue is may_requeue


@pytest.mark.parametrize(("saved_at", "again"), [(None, "begins anew"), (3, "goes on from step 3")])
def test_what_could_not_be_saved_is_not_called_so_and_not_queued_again_by_itself(watch, saved_at, again):
    signal.raise_signal(signal.SIGUSR2)
    error = watch.interruption(7, saved_at)
    assert str(error) == (
        "SIGUSR2 came: the trial stops at step 7, where its state could not be saved (error.log says why); the same "
        f"command {again}."
    )
    assert not error.may_requeue


def test_a_keyboard_interrupt_is_no_persons_while_signals_are_noted(watch):
    assert not interruption.is_from_keyboard()
    signal.raise_signal(signal.SIGINT)
    assert interruption.is_from_keyboard()


def test_a_second_interrupt_from_the_keyboard_is_obeyed(watch):
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_nobody_listens_before_being_told_to(handlers):
    Watch(now=lambda: 0.0)
    assert {number: signal.getsignal(number) for number in SIGNALS} == handlers


def test_a_process_that_trains_beside_its_main_thread_goes_without_signals(handlers):
    listening = Watch(now=lambda: 0.0)
    thread = threading.Thread(target=listening.listen)
    thread.start()
    thread.join()
    assert {number: signal.getsignal(number) for number in SIGNALS} == handlers


def test_a_trial_stops_some_time_before_its_job_ends():
    end = time.time() + 1_000
    assert not Watch(now=lambda: 0.0, end=end, notice=900).is_interrupted
    ending = Watch(now=lambda: 0.0, end=end, notice=1_000)
    assert ending.is_interrupted
    error = ending.interruption(7, 7)
    assert str(error).startswith("the job's time is nearly over: the trial is saved at step 7;")
    assert error.may_requeue


def test_a_checkpoint_is_due_when_its_period_is_over_and_begins_anew_when_it_is_saved():
    clock = [5.0]
    watch = Watch(now=lambda: clock[0])
    clock[0] += CHECKPOINT_PERIOD - 1
    assert not watch.is_checkpoint_due
    clock[0] += 1
    assert watch.is_checkpoint_due
    watch.saved()
    assert not watch.is_checkpoint_due
    clock[0] += CHECKPOINT_PERIOD
    assert watch.is_checkpoint_due
    assert not watch.is_interrupted


@pytest.mark.parametrize(
    ("time_limit", "evaluation_time", "seconds"),
    [
        (72_000, 0.0, 300),
        (72_000, 100.0, 500),  # an evaluation that has just begun, and another
        (72_000, 10_000.0, 7_200),  # a tenth of a short job is the most that may be lost
        (60, 1.0, 6),
    ],
)
def test_the_notice_leaves_time_for_an_evaluation_and_a_checkpoint(time_limit, evaluation_time, seconds):
    assert interruption.notice(time_limit, evaluation_time) == seconds
