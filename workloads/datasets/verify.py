"""A prepared store against its manifest and the benchmark's numbers, and its examples on a contact sheet."""

import os
from pathlib import Path
from typing import cast

from algoperf.benchmark.facts import InfrastructureError, Split, UsageError, WorkloadSpec
from algoperf.records.atomic import write_atomically
from workloads.datasets import store
from workloads.datasets.prepare import open_source, store_path
from workloads.datasets.sheet.card import Shown
from workloads.datasets.sheet.page import page

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def check_counts(spec: WorkloadSpec, data_dir: Path) -> None:
    """Raises UsageError where a split is not prepared, or not with the benchmark's number of examples."""
    for split in _splits(spec):
        open_source(spec, split, data_dir)


def verify(spec: WorkloadSpec, data_dir: Path, sheet: Path) -> None:
    """Reads every byte of the store and writes the contact sheet of its examples.

    Raises UsageError as `check_counts`, and where the page can not be written; InfrastructureError for a file whose
    content is not what was written.
    """
    if not os.access(sheet.absolute().parent, os.W_OK):  # said before hours of reading
        raise UsageError(f"{sheet} can not be written; choose another --sheet.")
    check_counts(spec, data_dir)
    folder = store_path(data_dir, spec.dataset)
    if damaged := store.verify(folder):
        raise InfrastructureError(f"{folder / damaged[0]} is damaged; remove {folder} and prepare it again.")
    manifest = store.read_manifest(folder)
    counts = {split: (manifest.examples(split), spec.num_examples(split)) for split in _splits(spec)}
    # Without augmentation, which a picture of the raw data would not have either.
    sources = {
        split: cast(Shown, open_source(spec, "eval_train" if split == "train" else split, data_dir)) for split in counts
    }
    write_atomically(sheet, page(manifest, counts, sources, "Every checksum is right.").encode())


def _splits(spec: WorkloadSpec) -> list[Split]:
    """Those that the benchmark has; language models have no test."""
    return [split for split in SPLITS if spec.num_examples(split)]
