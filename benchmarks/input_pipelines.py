"""How many examples a second do the input pipelines of the full scale make on two cores?

    python -m benchmarks.input_pipelines [CELL ...]

The content is synthetic and the form real: day files, photographs of about 500 x 375 pixels and 110 kB as JPEG, volumes
of 36 slices of 640 x 368 numbers, utterances of 2 to 17 seconds as FLAC, graphs of 26 nodes. They are written to a
temporary folder (1 GB), prepared and read by the code of a trial: preparation, store and `InputQueue`, with the values
of the workload's spec. All is in the page cache, so that processors are measured and not disks. Beside it stands what
the benchmark's hardware consumes (step hint x batch size / budget), and how many cores that takes at the measured rate.
Other processes on the machine lower what two cores make in a second more than what a second of processor makes. What
came out stands in docs/data.md.
"""

import argparse
import dataclasses
import gzip
import io
import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import soundfile
from PIL import Image

from algoperf.benchmark.registry import load_spec
from algoperf.rehearsal import pipeline
from algoperf.trial.input_queue import evaluation_batches
from benchmarks import raw_files
from workloads.datasets.criteo1tb import DAYS
from workloads.datasets.fastmri import TRAIN_FOLDER, VAL_FOLDER
from workloads.datasets.librispeech import LIBRISPEECH
from workloads.datasets.prepare import load_dataset
from workloads.datasets.raw.imagenet import FOLDERS
from workloads.datasets.raw.librispeech import FOLDER, SAMPLE_RATE
from workloads.datasets.source import Source
from workloads.datasets.store import read_manifest

CORES = 2
WARM_UP, MEASURED = 5.0, 15.0  # seconds
LINES, REPEATED = 4_096, 12  # of a day file: different lines, and how often they stand in it
PHOTOS, COPIES = 64, 8
SIZES = ((375, 500), (500, 375), (333, 500), (400, 400))
SLICES, ROWS, COLUMNS = 36, 640, 368  # of a volume
CHAPTERS, UTTERANCES = 8, 40  # of train-clean-100; of a chapter
GRAPHS = 20_000


@dataclasses.dataclass(frozen=True)
class Cell:
    """What is measured. consumed: examples a second of the benchmark's hardware, where it trains."""

    workload: str
    batch_size: int
    examples: str
    consumed: int | None = None


CELLS = {
    "criteo1tb": Cell("criteo1tb", 262_144, "rows", 363_000),
    "fastmri": Cell("fastmri", 32, "slices", 131),
    "imagenet_resnet": Cell("imagenet_resnet", 256, "images", 3_030),
    "imagenet_vit": Cell("imagenet_vit", 256, "images", 2_470),
    "librispeech": Cell("librispeech_conformer", 256, "utterances", 335),
    "ogbg": Cell("ogbg", 512, "graphs", 2_217),
    "imagenet evaluation": Cell("imagenet_resnet", 64, "images"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", metavar="CELL", help=f"of {', '.join(CELLS)}; all if none is given")
    names = parser.parse_args().cells or list(CELLS)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    print(f"{'':22}{f'a second, {CORES} cores':>24}{'a core second':>16}{'consumed':>12}{'on cores':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            report(name, CELLS[name], Path(folder))


def report(name: str, cell: Cell, folder: Path) -> None:
    spec = load_spec(cell.workload)
    raw = folder / "raw" / spec.dataset
    if not raw.is_dir():
        RAW[spec.dataset](raw)
    store = folder / spec.dataset
    if not store.is_dir():
        raw_files.prepare(spec.dataset, raw, folder, lambda what, done, total: None)
    num_examples = read_manifest(store).examples("train")
    split = "train" if cell.consumed else "eval_train"
    source = load_dataset(spec.dataset).open_split(store, split, num_examples, spec.data)
    examples, seconds, core_seconds = measure(source, cell)
    per_core = examples / core_seconds
    consumed = f"{cell.consumed:12,}{cell.consumed / per_core:10.1f}" if cell.consumed else ""
    print(f"{name:22}{examples / seconds:13,.0f} {cell.examples:10}{per_core:16,.0f}{consumed}", flush=True)


def measure(source: Source, cell: Cell) -> tuple[int, float, float]:
    """Examples, seconds, and seconds of the cores together."""
    if cell.consumed:
        return pipeline.training(source, cell.batch_size, WARM_UP, MEASURED)
    again_and_again = (evaluation_batches(source, cell.batch_size) for _ in itertools.count())
    batches = enumerate(itertools.chain.from_iterable(again_and_again), 1)
    return pipeline.draw((number * cell.batch_size for number, _ in batches), WARM_UP, MEASURED)


def write_days(raw: Path) -> None:
    """24 day files like Criteo's: integers of one to four digits, a tenth of them empty, and hexadecimal strings."""
    random = np.random.default_rng(0)
    integers = np.where(random.random((LINES, 13)) < 0.1, -1, random.integers(9_999, size=(LINES, 13)))
    strings = random.integers(1 << 32, size=(LINES, 26))
    lines = [
        "\t".join(["0", *("" if number < 0 else str(number) for number in of_line), *(f"{n:08x}" for n in ids)])
        for of_line, ids in zip(integers.tolist(), strings.tolist(), strict=True)
    ]
    text = "\n".join(lines) + "\n"
    raw.mkdir(parents=True)
    for day in range(DAYS):
        (raw / f"day_{day}").write_text(text * REPEATED)


def write_photographs(raw: Path) -> None:
    """ImageNet's folders, with images whose spectrum falls as that of photographs does."""
    for number in range(PHOTOS):
        jpeg = io.BytesIO()
        Image.fromarray(photograph(*SIZES[number % len(SIZES)], seed=number)).save(jpeg, "JPEG", quality=90)
        for split, name in FOLDERS.items():
            folder = raw / name / f"n{number // 8:08}"
            folder.mkdir(parents=True, exist_ok=True)
            for copy in range(COPIES if split == "train" else 1):
                (folder / f"{number}_{copy}.JPEG").write_bytes(jpeg.getvalue())


def photograph(height: int, width: int, seed: int) -> np.ndarray:
    """(height, width, 3) uint8: amplitudes in inverse proportion to frequency, channels mostly alike."""
    random = np.random.default_rng(seed)
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    amplitudes = np.maximum(frequencies, 1 / max(height, width)) ** -1.05
    phases = np.exp(2j * np.pi * random.random((4, *frequencies.shape)))
    fields = np.fft.irfft2(amplitudes * phases, (height, width))
    fields /= fields.std(axis=(1, 2), keepdims=True)
    return np.clip(128 + 50 * (fields[:1] + 0.3 * fields[1:]), 0, 255).astype(np.uint8).transpose(1, 2, 0)


def write_volumes(raw: Path) -> None:
    """Volumes of noise: six for training, two for evaluation."""
    random = np.random.default_rng(0)
    kspace = random.standard_normal((SLICES, ROWS, COLUMNS, 2), np.float32).view(np.complex64)[..., 0]
    for number in range(8):
        path = raw / (TRAIN_FOLDER if number < 6 else VAL_FOLDER) / f"{number}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as volume:
            volume["kspace"] = kspace
            volume["reconstruction_esc"] = random.random((SLICES, 320, 320), np.float32)
            volume.attrs["max"] = 1.0


def write_utterances(raw: Path) -> None:
    """LibriSpeech's folders: noise as loud as speech, and sentences of random words."""
    random = np.random.default_rng(0)
    noise = random.normal(0, 2_000, 600_000).astype(np.int16)
    words = ["".join(random.choice(list("ETAOINSHRDLU"), random.integers(2, 9))) for _ in range(2_000)]
    for subset in itertools.chain.from_iterable(LIBRISPEECH.subsets.values()):
        for chapter in range(CHAPTERS if subset == "train-clean-100" else 1):
            folder = raw / FOLDER / subset / "1" / str(chapter)
            folder.mkdir(parents=True)
            utterances = [f"1-{chapter}-{number:04}" for number in range(UTTERANCES)]
            for utterance in utterances:
                begin, length = random.integers(300_000), random.integers(32_000, 272_000)
                soundfile.write(folder / f"{utterance}.flac", noise[begin : begin + length], SAMPLE_RATE, "PCM_16")
            lines = [f"{utterance} {' '.join(random.choice(words, 25))}\n" for utterance in utterances]
            (folder / f"1-{chapter}.trans.txt").write_text("".join(lines))


def write_graphs(raw: Path) -> None:
    """The archive of ogbg-molpcba, with graphs of random sizes, edges, features and labels; eight tenths are train."""
    random = np.random.default_rng(0)
    n_node = np.clip(random.normal(26, 8, GRAPHS).astype(int), 2, None)
    n_edge = n_node + random.integers(5, size=GRAPHS)
    tables = {
        "raw/num-node-list": n_node[:, None],
        "raw/num-edge-list": n_edge[:, None],
        "raw/node-feat": random.integers(12, size=(n_node.sum(), 9)),
        "raw/edge": random.integers(np.repeat(n_node, n_edge)[:, None], size=(n_edge.sum(), 2)),
        "raw/edge-feat": random.integers(4, size=(n_edge.sum(), 3)),
        "raw/graph-label": random.random((GRAPHS, 128)) < 0.02,
    }
    parts = np.split(random.permutation(GRAPHS), [GRAPHS * 8 // 10, GRAPHS * 9 // 10])
    for name, part in zip(("train", "valid", "test"), parts, strict=True):
        tables[f"split/scaffold/{name}"] = part[:, None]
    for name, table in tables.items():
        path = raw / f"{name}.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(path, "wb", compresslevel=1) as file:
            np.savetxt(file, table, "%d", ",")


RAW: dict[str, Callable[[Path], None]] = {
    "criteo1tb": write_days,
    "fastmri": write_volumes,
    "imagenet": write_photographs,
    "librispeech": write_utterances,
    "ogbg": write_graphs,
}

if __name__ == "__main__":
    main()
