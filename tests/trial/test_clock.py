"""Charged and free seconds, with a clock that the test sets."""

import pytest

from algoperf.trial.clock import Clock


class Now:
    """The present, as the test says."""

    def __init__(self):
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now():
    return Now()


@pytest.fixture
def clock(now):
    return Clock(now)


def test_only_running_time_is_charged(clock, now):
    now.seconds += 5
    assert clock.charged == 0
    clock.start()
    now.seconds += 3
    assert clock.charged == 3
    clock.stop()
    now.seconds += 7
    assert clock.charged == 3
    clock.start()
    now.seconds += 2
    assert clock.charged == 5


def test_free_time_is_counted_by_activity_and_not_charged(clock, now):
    with clock.freely("evaluation"):
        now.seconds += 4
    with clock.freely("logging"):
        now.seconds += 1
    with clock.freely("evaluation"):
        now.seconds += 2
    assert (clock.spent("evaluation"), clock.spent("logging"), clock.charged) == (6, 1, 0)


def test_free_time_counts_even_where_the_activity_fails(clock, now):
    with pytest.raises(OSError, match="disk"), clock.freely("logging"):
        now.seconds += 2
        raise OSError("disk")
    assert clock.spent("logging") == 2


def test_nothing_free_can_happen_while_the_submission_pays(clock):
    clock.start()
    with pytest.raises(AssertionError, match="charged"), clock.freely("evaluation"):
        pass


def test_a_later_session_goes_on_from_the_state(clock, now):
    clock.start()
    now.seconds += 3
    clock.stop()
    with clock.freely("evaluation"):
        now.seconds += 4
    state = clock.state
    now.seconds += 1_000  # the node is down, then another process restores and compiles
    later = Clock(now, **state)
    now.seconds += 50
    assert later.charged == 3
    later.start()
    now.seconds += 1
    assert later.charged == 4
    assert later.spent("evaluation") == 4
    assert later.session == 51
