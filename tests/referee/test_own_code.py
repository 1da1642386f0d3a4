"""Code of a submission that nobody has called is noticed and timed, by whatever name it runs."""

import cProfile
import importlib.util
import sys

import pytest

from algoperf.referee.own_code import TRIFLE, OwnCode
from algoperf.submission.whose import Owner

SUBMISSION = """
import cProfile, functools, sys
SPENT = []

def spend():
    for clock in SPENT:
        clock.seconds += 5.0

class Lazy:
    shape = property(lambda self: spend() or ())
    def __float__(self): return spend() or 1.0
    def __len__(self): return spend() or 3
    def __getattr__(self, name): return spend()
    def __eq__(self, other): return spend() or True
    def __iter__(self): spend(); yield 1
    def items(self): return [spend()]
    def state_dict(self): return spend() or {}

def quick(): pass

def switches_off():
    sys.setprofile(None)
    spend()

def watches_itself():
    sys.setprofile(lambda frame, event, argument: None)
    spend()

def puts_back():
    watching = sys.getprofile()
    sys.setprofile(None)
    spend()
    sys.setprofile(watching)

def takes(kept=[]):
    kept.append(sys.getprofile())
    sys.setprofile(None)
    spend()
    return kept

def profiles():
    profile = cProfile.Profile()
    profile.enable()
    spend()
    profile.disable()
"""


class World:
    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def world():
    return World()


@pytest.fixture
def submission(tmp_path, world):
    """The module of a submission, and the owner of its files, made before it was imported."""
    owner = Owner(tmp_path / "mine")
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / "torch_helper.py"  # neither its name nor its folder makes it a library
    file.write_text(SUBMISSION)
    spec = importlib.util.spec_from_file_location("torch_helper", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.SPENT.append(world)
    return owner, module


@pytest.mark.parametrize(
    ("what", "name"),
    [
        (float, "Lazy.__float__"),
        (len, "Lazy.__len__"),
        (lambda lazy: lazy.anything, "Lazy.__getattr__"),
        (lambda lazy: lazy == 3, "Lazy.__eq__"),
        (lambda lazy: next(iter(lazy)), "Lazy.__iter__"),
        (lambda lazy: lazy.items(), "Lazy.items"),
        (lambda lazy: lazy.state_dict(), "Lazy.state_dict"),
        (lambda lazy: lazy.shape, "Lazy.<lambda>"),
    ],
    ids=lambda value: value if isinstance(value, str) else "of",
)
def test_it_is_charged_in_full_at_once(what, name, submission, world):
    owner, module = submission
    charged = []
    with OwnCode(owner, charged.append, world) as own:
        world.seconds += 7.0
        what(module.Lazy())
        assert charged == [5.0]
    assert (own.seconds, own.names) == (5.0, [name])


def test_what_takes_no_time_is_not_charged(submission, world):
    owner, module = submission
    charged = []
    with OwnCode(owner, charged.append, world) as own:
        module.quick()
    assert (own.names, charged) == (["quick"], [])
    module.SPENT.clear()
    with OwnCode(owner, charged.append) as own:
        float(module.Lazy())
    assert own.seconds < TRIFLE
    assert charged == []


def test_code_of_libraries_tests_and_the_benchmark_is_nobodys(submission, world):
    owner, _ = submission
    with OwnCode(owner, lambda seconds: None, world) as own:
        world()
        Owner("nowhere")
        importlib.util.find_spec("json")
    assert own.names == []


@pytest.mark.parametrize("name", ["switches_off", "watches_itself"])
def test_what_stops_being_seen_is_noticed(name, submission, world):
    owner, module = submission
    with OwnCode(owner, lambda seconds: None, world) as own:
        module.quick()
        getattr(module, name)()
    assert own.is_unseen
    assert sys.getprofile() is None


def test_a_profile_of_its_own_is_noticed_or_hides_nothing(submission, world):
    """From Python 3.12 on cProfile takes no place from a profiling function."""
    owner, module = submission
    with OwnCode(owner, lambda seconds: None, world) as own:
        module.profiles()
    assert (own.is_unseen, own.seconds) == ((False, 5.0) if sys.version_info >= (3, 12) else (True, 0.0))


def test_what_is_seen_again_is_charged_if_it_has_an_end(submission, world):
    owner, module = submission
    with OwnCode(owner, lambda seconds: None, world) as own:
        module.puts_back()
    assert (own.seconds, own.is_unseen) == (5.0, False)
    with OwnCode(owner, lambda seconds: None, world) as own:
        sys.setprofile(module.takes().pop())
    assert own.is_unseen


def test_a_profile_that_was_on_before_is_put_back_if_it_can_be(submission, world):
    owner, _ = submission

    def before(frame, event, argument):
        pass

    sys.setprofile(before)
    try:
        with OwnCode(owner, lambda seconds: None, world) as own:
            pass
        assert sys.getprofile() is before
    finally:
        sys.setprofile(None)
    with cProfile.Profile(), OwnCode(owner, lambda seconds: None, world) as own:
        pass
    assert not own.is_unseen
    assert sys.getprofile() is None
