"""From a dataset's name to its prepared store, and from a store to the examples of a workload."""

import importlib
import pkgutil
from pathlib import Path
from typing import cast

import workloads.datasets
from algoperf.benchmark.facts import Split, UsageError, WorkloadSpec
from workloads.datasets.source import Dataset, Source
from workloads.datasets.store import MANIFEST, Progress, read_manifest


def store_path(data_dir: Path, dataset: str) -> Path:
    return data_dir / dataset


def load_dataset(dataset: str) -> Dataset:
    """The module of a dataset. Raises UsageError for an unknown name."""
    if dataset not in {module.name for module in pkgutil.iter_modules(workloads.datasets.__path__) if not module.ispkg}:
        raise UsageError(f"there is no dataset {dataset!r} in workloads/datasets/.")
    return cast(Dataset, importlib.import_module(f"workloads.datasets.{dataset}"))


def prepare_dataset(dataset: str, data_dir: Path, source: Path | None, progress: Progress) -> Path:
    """Makes the store of a dataset and returns its manifest; returns at once where it is there already.

    source: a folder with what the dataset is made from, for data that can not be fetched (docs/data.md).
    Raises UsageError as the dataset's `fetch` and `prepare` do.
    """
    store = store_path(data_dir, dataset)
    manifest = store / MANIFEST
    if not manifest.is_file():
        module = load_dataset(dataset)
        progress(f"fetch {dataset}", 0, 1)
        raw = module.fetch(data_dir / "raw" / dataset, source)
        progress(f"fetch {dataset}", 1, 1)
        module.prepare(raw, store, progress)
    return manifest


def open_source(spec: WorkloadSpec, split: Split, data_dir: Path) -> Source:
    """The examples of one split of a workload; at the mini scale, and in a rehearsal, fewer than are prepared may be
    evaluated.

    Raises UsageError where they are not prepared, or not in full number.
    """
    if spec.rehearsal == "made_up":
        return load_dataset(spec.dataset).made_up(split, spec.num_examples(split), spec.data)
    store = store_path(data_dir, spec.dataset)
    if not (store / MANIFEST).is_file():
        command = f"algoperf data prepare {spec.base or spec.name} --scale {spec.scale} --data-dir {data_dir}"
        raise UsageError(f"the data of {spec.name} are not prepared in {store}; run `{command}`.")
    wanted = spec.num_examples(split)
    manifest = read_manifest(store)
    found = manifest.examples("train" if split == "eval_train" else split)
    may_be_fewer = split == "eval_train" or (split != "train" and (spec.scale == "mini" or spec.rehearsal == "store"))
    if found < wanted or (found > wanted and not may_be_fewer):
        raise UsageError(f"{store} has {found:,} examples for {split}, {spec.name} has {wanted:,}; is it complete?")
    return load_dataset(spec.dataset).open_split(store, split, wanted, spec.data)
