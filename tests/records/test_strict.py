"""Files that people write: what is wrong is one sentence with the allowed keys, however deep it stands."""

from pathlib import Path

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.records.strict import Strict, check_content, read_yaml


class Engine(Strict):
    power: int
    fuel: str = "none"


class Wagon(Strict):
    seats: int


class Train(Strict):
    engine: Engine
    wagons: list[Wagon]
    spare: dict[str, Engine]


GOOD = {"engine": {"power": 3}, "wagons": [{"seats": 40}, {"seats": 60}], "spare": {"old": {"power": 1}}}


def changed(**changes) -> dict:
    return {**GOOD, **changes}


def test_what_is_right_is_read():
    train = check_content(Train, GOOD, "the train")
    assert (train.engine.power, train.wagons[1].seats, train.spare["old"].fuel) == (3, 60, "none")


@pytest.mark.parametrize(
    ("content", "key", "allowed"),
    [
        (changed(colour="red"), "colour", "engine, wagons, spare"),
        (changed(engine={"power": 3, "colour": "red"}), "engine.colour", "power, fuel"),
        (changed(wagons=[{"seats": 40}, {"seats": 60, "colour": "red"}]), "wagons.1.colour", "seats"),
        (changed(spare={"old": {"power": 1, "colour": "red"}}), "spare.old.colour", "power, fuel"),
    ],
)
def test_an_unknown_key_is_named_with_those_that_are_allowed_there(content, key, allowed):
    with pytest.raises(UsageError, match=f"^the train has an unknown key '{key}'; the keys are {allowed}\\.$"):
        check_content(Train, content, "the train")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (changed(wagons=[{"seats": "many"}]), r"wrong at 'wagons\.0\.seats': .* \(got 'many'\)\.$"),
        ({}, r"wrong at 'engine': Field required"),
        ([GOOD], r"wrong at 'it': "),
    ],
)
def test_a_wrong_value_is_shown_with_its_place(content, sentence):
    with pytest.raises(UsageError, match=sentence):
        check_content(Train, content, "the train")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"a: 1\nb:\n  c: 2\n  c: 3\n", r"the train is not YAML: the key 'c' is there twice, line 3 and after\."),
        (b"a: [1\n", "the train is not YAML: "),
        (b"a: \xff\n", r"the train is not in UTF-8 \(byte 3\); save it as that\."),
    ],
)
def test_a_file_that_is_no_yaml_or_says_a_key_twice_is_refused(tmp_path: Path, data: bytes, sentence: str):
    (tmp_path / "train.yaml").write_bytes(data)
    with pytest.raises(UsageError, match=sentence):
        read_yaml(tmp_path / "train.yaml", "the train")


def test_an_empty_file_holds_nothing_and_a_merge_may_stand_twice(tmp_path: Path):
    (tmp_path / "train.yaml").write_text("")
    assert read_yaml(tmp_path / "train.yaml", "the train") == {}
    (tmp_path / "train.yaml").write_text("one: &one {a: 1}\ntwo: &two {b: 2}\nboth:\n  <<: *one\n  <<: *two\n")
    assert read_yaml(tmp_path / "train.yaml", "the train")["both"] == {"a": 1, "b": 2}
    with pytest.raises(UsageError, match="the train cannot be read: No such file or directory"):
        read_yaml(tmp_path / "nowhere.yaml", "the train")
