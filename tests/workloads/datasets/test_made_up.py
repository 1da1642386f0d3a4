"""Examples that are made up for a rehearsal have what speed and memory hang on."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from algoperf.benchmark.facts import replace
from algoperf.benchmark.registry import base_workloads, load_spec
from algoperf.trial.input_queue import evaluation_batches
from workloads.datasets.prepare import open_source
from workloads.datasets.source import num_rows


def source(name, tmp_path, split="train", scale="full", **values):
    return open_source(replace(load_spec(name, scale), {"rehearsal": "made_up", **values}), split, tmp_path)


def first(source, batch_size):
    indices = np.arange(batch_size * source.lookahead)
    used = int(source.divide(indices, batch_size, 1)[-1])
    with ThreadPoolExecutor(1) as pool:
        return source.read(indices[:used], np.zeros(used, np.int64), slice(used), batch_size, 0, pool)


FULL = pytest.param("full", marks=pytest.mark.nightly("made-up examples at full scale"))


@pytest.mark.parametrize("scale", ["mini", FULL])
@pytest.mark.parametrize("name", base_workloads())
def test_every_split_of_every_workload_can_be_made_up(name, scale, tmp_path):
    spec = replace(load_spec(name, scale), {"rehearsal": "made_up"})
    batch = first(open_source(spec, "train", tmp_path), 4)
    assert num_rows(batch["targets"]) >= 4
    for split in ("eval_train", "validation", "test"):
        if spec.num_examples(split):
            assert len(open_source(spec, split, tmp_path)) == spec.num_examples(split)
    small = replace(spec, {"num_validation_examples": 6})
    batches = list(evaluation_batches(open_source(small, "validation", tmp_path), 4))
    assert sum(float(np.sum(np.any(np.reshape(b["weights"], (len(b["weights"]), -1)) > 0, 1))) for b in batches) == 6
    assert not any(tmp_path.iterdir())


def test_clicks_and_ids(tmp_path):
    batch = first(source("criteo1tb", tmp_path), 32_768)
    assert batch["targets"].mean() == pytest.approx(0.03, rel=0.15)
    assert len(np.unique(batch["inputs"][:, 13])) > 0.99 * 32_768 * (1 - 32_768 / 2 / 4_194_304)


@pytest.mark.landing("hours of made-up sound")
def test_lengths_of_sounds(tmp_path):
    """12.0 s of the 20 on average: 960 hours in 281,241 utterances, without the 6 % that are left out."""
    audio, of_audio = first(source("librispeech_conformer", tmp_path), 512)["inputs"]
    assert (1 - of_audio).sum(axis=1).mean() / 16_000 == pytest.approx(12.0, rel=0.05)
    assert np.abs(audio).max() > 100


def test_lengths_of_sentences(tmp_path):
    pairs = source("wmt", tmp_path, "validation", num_validation_examples=512)
    batch = first(pairs, 512)
    assert (batch["inputs"] > 0).sum(axis=1).mean() == pytest.approx(31, rel=0.05)
    assert (batch["targets"] > 0).sum(axis=1).mean() == pytest.approx(28, rel=0.05)
    packed = first(source("wmt", tmp_path), 64)
    assert (packed["targets"] > 0).mean() > 0.7


def test_nodes_and_edges_of_graphs(tmp_path):
    graphs = source("ogbg", tmp_path)
    batch = first(graphs, 512)
    count = (batch["inputs"]["n_node"][:-1] > 0).sum() - 1  # the last one has what is left
    nodes, edges = (batch["inputs"][name][:count].mean() for name in ("n_node", "n_edge"))
    assert nodes == pytest.approx(26, rel=0.05)
    assert edges == pytest.approx(56, rel=0.05)
    assert count / 512 > 0.9
    assert batch["weights"][:count].mean() == pytest.approx(0.6, rel=0.05)


def test_bytes_of_photographs(tmp_path):
    images = source("imagenet_resnet", tmp_path, "validation")
    index = images.images.index if hasattr(images, "images") else images._images.index
    assert index["size"].mean() == pytest.approx(110e3, rel=0.1)
    assert index["height"].mean() * index["width"].mean() == pytest.approx(437.5**2, rel=0.05)
