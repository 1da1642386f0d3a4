"""How the profile is drawn on the page."""

from scoring.page.profile import ticks


def test_there_are_at_most_thirteen_ticks_and_each_workload_has_one_up_to_twelve():
    for count in range(1, 100):
        assert len(ticks(count)) <= 13
        assert ticks(count)[0] == 0
    assert list(ticks(12)) == list(range(13))
    assert list(ticks(25)) == list(range(0, 26, 2))
