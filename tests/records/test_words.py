"""Numbers, names and errors as people read them."""

import pytest

from algoperf.records.atomic import write_atomically
from algoperf.records.words import broken, counted, duration, trouble


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (37.25, "37.2 s"), (725, "12 min 5 s"), (63_000, "17 h 30 min"), (2_754_000, "31 days 21 h")],
)
def test_durations_are_written_as_people_say_them(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "workload", "1 workload"),
        (0, "workload", "0 workloads"),
        (1, "study", "1 study"),
        (1_204, "study", "1,204 studies"),
    ],
)
def test_one_is_not_many(number, noun, text):
    assert counted(number, noun) == text


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("a_name that fits", 16, ["a_name that fits"]),
        ("a_name that fits", 11, ["a_name that", "fits"]),
        ("a_long_name 0/1", 7, ["a_long_", "name", "0/1"]),
        ("path/of.a-name", 5, ["path/", "of.a-", "name"]),
        ("indivisible_word", 4, ["indivisible_", "word"]),
        ("", 4, [""]),
    ],
)
def test_a_name_is_broken_where_it_may_be(text, width, lines):
    assert broken(text, width) == lines


def test_trouble_with_a_disk_names_the_place_and_a_dead_link_as_one(tmp_path):
    (tmp_path / "link").symlink_to("/no/such/disk")
    with pytest.raises(OSError) as missing:
        write_atomically(tmp_path / "none" / "file", b"")
    assert trouble(missing.value) == f"{tmp_path}/none/file: No such file or directory"
    with pytest.raises(OSError) as dead:
        write_atomically(tmp_path / "link" / "file", b"")
    assert trouble(dead.value) == f"{tmp_path}/link is a link to /no/such/disk, which is not there"
    assert trouble(OSError("as the library has it")) == "as the library has it"
