"""Raw files of every dataset in exactly the form in which they are given away: synthetic, seeded, free of any licence.

`write(dataset, raw, size)` writes the archives that `algoperf data fetch` brings, with about `size` units of train
(rows, slices, images, seconds of sound, graphs, pairs, documents); `prepare` is the dataset's own, without the numbers
of the benchmark, which these files have not. Tests and `preparation.py` share them.
"""

import dataclasses
import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.io
import soundfile
from PIL import Image

from workloads.datasets import criteo1tb, fastmri, finewebedu, imagenet, librispeech, ogbg, wmt
from workloads.datasets.raw.criteo import DAYS
from workloads.datasets.raw.imagenet import ARCHIVES, DEVKIT, groups
from workloads.datasets.raw.librispeech import FOLDER, SAMPLE_RATE
from workloads.datasets.raw.wmt_archives import TEXTS
from workloads.datasets.store import Progress

SLICES, ROWS, COLUMNS = 36, 640, 368  # of a volume
CHAPTER_SECONDS, UTTERANCE_SECONDS = 600, (2, 17)
_ROW_GROUP = 1_000  # documents
_LETTERS = np.array(list("etaoinshrdlcumwfgypbvk"))


def write(dataset: str, raw: Path, size: int) -> None:
    raw.mkdir(parents=True)
    _WRITERS[dataset](raw, size, np.random.default_rng(len(dataset)))


def _words(random: np.random.Generator) -> np.ndarray:
    return np.array(["".join(random.choice(_LETTERS, random.integers(2, 11))) for _ in range(5_000)])


def _sentences(random: np.random.Generator, words: np.ndarray, count: int, length: int) -> list[str]:
    """length: in words, on average."""
    lengths = random.poisson(length - 1, count) + 1
    drawn = random.choice(words, int(lengths.sum()))
    return [" ".join(part) for part in np.split(drawn, np.cumsum(lengths)[:-1])]


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _lines_of_criteo(random: np.random.Generator, count: int) -> bytes:
    columns = [np.char.mod("%d", random.random(count) < 0.03)]
    for column in range(13):
        numbers = np.char.mod("%d", random.geometric(0.1 / (1 + column), count))
        columns.append(np.where(random.random(count) < 0.15, "", numbers))
    for column in range(26):
        strings = np.char.mod("%08x", random.zipf(1.2, count) * 2_654_435_761 % (1 << 32))
        columns.append(np.where(random.random(count) < (0.1 if column % 4 == 0 else 0), "", strings))
    return "".join("\t".join(line) + "\n" for line in zip(*columns, strict=True)).encode()


def _criteo1tb(raw: Path, size: int, random: np.random.Generator) -> None:
    """The first day has nearly all rows: one core makes a day, and so its memory is that of a day."""
    for day in range(DAYS):
        with gzip.open(raw / f"day_{day}.gz", "wb", 6) as file:
            for start in range(0, size if day == 0 else 100, 100_000):
                file.write(_lines_of_criteo(random, min(100_000, size - start) if day == 0 else 100))


def _fastmri(raw: Path, size: int, random: np.random.Generator) -> None:
    kspace = random.standard_normal((SLICES, ROWS, COLUMNS, 2), np.float32).view(np.complex64)[..., 0]
    volume = raw / "volume.h5"
    with h5py.File(volume, "w") as file:
        file["kspace"] = kspace
        file["reconstruction_esc"] = random.random((SLICES, 320, 320), np.float32)
        file.attrs["max"] = 1.0
    for name, count in (("train", max(1, size // SLICES)), ("val", 2)):
        # xz's easiest level: packing takes most of the time, and unpacking noise the same at every level.
        with tarfile.open(raw / f"knee_singlecoil_{name}.tar.xz", "w:xz", preset=0) as archive:
            for number in range(count):
                archive.add(volume, f"singlecoil_{name}/file{number:07}.h5")
    volume.unlink()


def _photographs(random: np.random.Generator) -> list[bytes]:
    """As JPEG, about 110 kB each: amplitudes in inverse proportion to frequency, channels mostly alike."""
    found = []
    for height, width in ((375, 500), (500, 375), (333, 500), (400, 400)):
        frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
        amplitudes = np.maximum(frequencies, 1 / max(height, width)) ** -1.05
        fields = np.fft.irfft2(
            amplitudes * np.exp(2j * np.pi * random.random((4, *frequencies.shape))), (height, width)
        )
        fields /= fields.std(axis=(1, 2), keepdims=True)
        pixels = np.clip(128 + 50 * (fields[:1] + 0.3 * fields[1:]), 0, 255).astype(np.uint8).transpose(1, 2, 0)
        jpeg = io.BytesIO()
        Image.fromarray(pixels).save(jpeg, "JPEG", quality=90)
        found.append(jpeg.getvalue())
    return found


def _imagenet(raw: Path, size: int, random: np.random.Generator) -> None:
    photographs, classes = _photographs(random), [f"n{number:08}" for number in range(4)]
    with tarfile.open(raw / ARCHIVES["train"], "w") as train:
        for wnid in reversed(classes):
            of_class = io.BytesIO()
            with tarfile.open(fileobj=of_class, mode="w") as archive:
                for number in range(size // len(classes)):
                    _add(archive, f"{wnid}_{number}.JPEG", photographs[number % 4])
            _add(train, f"{wnid}.tar", of_class.getvalue())
    with (
        tarfile.open(raw / ARCHIVES["validation"], "w") as validation,
        tarfile.open(raw / ARCHIVES["test"], "w") as test,
    ):
        for label in range(len(classes)):
            _add(validation, f"ILSVRC2012_val_{label + 1:08}.JPEG", photographs[label])
            _add(test, f"imagenetv2-matched-frequency-format-val/{label}/a.jpeg", photographs[label])
    synsets = [(number + 1, wnid) for number, wnid in enumerate(classes)]
    matrix = io.BytesIO()
    scipy.io.savemat(matrix, {"synsets": np.array(synsets, [("ILSVRC2012_ID", "O"), ("WNID", "O")])[:, None]})
    with tarfile.open(raw / DEVKIT, "w:gz") as devkit:
        _add(devkit, "ILSVRC2012_devkit_t12/data/meta.mat", matrix.getvalue())
        _add(devkit, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", b"1\n2\n3\n4\n")


def _librispeech(raw: Path, size: int, random: np.random.Generator) -> None:
    words = np.char.upper(_words(random))
    noise = random.normal(0, 100, 900_000).astype(np.int16)  # which takes as many bytes as speech does
    for subset in librispeech.LIBRISPEECH.utterances:
        chapters = max(1, size // CHAPTER_SECONDS) if subset == "train-clean-100" else 1
        with tarfile.open(raw / f"{subset}.tar.gz", "w:gz", compresslevel=1) as archive:
            for chapter in range(chapters):
                _write_chapter(archive, f"{FOLDER}/{subset}", str(chapter), random, noise, words)


def _write_chapter(
    archive: tarfile.TarFile,
    above: str,
    chapter: str,
    random: np.random.Generator,
    noise: np.ndarray,
    words: np.ndarray,
) -> None:
    lines, seconds = [], 0.0
    while seconds < CHAPTER_SECONDS:
        length = random.uniform(*UTTERANCE_SECONDS)
        begin = random.integers(len(noise) - int(length * SAMPLE_RATE))
        flac = io.BytesIO()
        soundfile.write(flac, noise[begin:][: int(length * SAMPLE_RATE)], SAMPLE_RATE, "PCM_16", format="FLAC")
        name = f"1-{chapter}-{len(lines):04}"
        _add(archive, f"{above}/1/{chapter}/{name}.flac", flac.getvalue())
        lines.append(f"{name} {_sentences(random, words, 1, max(1, int(2.5 * length)))[0][:250]}\n")
        seconds += length
    _add(archive, f"{above}/1/{chapter}/1-{chapter}.trans.txt", "".join(lines).encode())


def _ogbg(raw: Path, size: int, random: np.random.Generator) -> None:
    n_node = np.clip(random.normal(26, 8, size).astype(int), 2, None)
    n_edge = n_node + random.integers(5, size=size)
    labels = random.choice(["0", "1", ""], p=[0.6, 0.02, 0.38], size=(size, 128))
    tables: dict[str, Iterable] = {
        "raw/num-node-list": n_node[:, None],
        "raw/num-edge-list": n_edge[:, None],
        "raw/node-feat": random.integers(12, size=(n_node.sum(), 9)),
        "raw/edge": random.integers(np.repeat(n_node, n_edge)[:, None], size=(n_edge.sum(), 2)),
        "raw/edge-feat": random.integers(4, size=(n_edge.sum(), 3)),
        "raw/graph-label": labels,
    }
    parts = np.split(random.permutation(size), [size * 8 // 10, size * 9 // 10])
    for name, part in zip(("train", "valid", "test"), parts, strict=True):
        tables[f"split/scaffold/{name}"] = part[:, None]
    with zipfile.ZipFile(raw / "pcba.zip", "w") as archive:
        archive.mkdir("pcba")
        for name, table in tables.items():
            text = "".join(",".join(map(str, row)) + "\n" for row in table.tolist())
            archive.writestr(f"pcba/{name}.csv.gz", gzip.compress(text.encode(), 6))


def _wmt(raw: Path, size: int, random: np.random.Generator) -> None:
    """An eighth of the pairs of Europarl, which has nearly all of them here, stand there without one side."""
    words = {language: _words(random) for language in ("de", "en")}
    of_archive: dict[str, list[tuple[str, bytes]]] = {}
    for text in TEXTS:
        count = size if "europarl" in text.archive else 400
        for name, language in zip(text.members[0], ("de", "en"), strict=True):
            sentences = _sentences(random, words[language], count, 24)
            if name.endswith(".sgm"):
                sentences = [f'<seg id="{number}">{line}</seg>' for number, line in enumerate(sentences, 1)]
            elif "europarl" in name and language == "de":
                sentences[::8] = [""] * len(sentences[::8])
            of_archive.setdefault(text.archive, []).append((f"training/{name}", "\n".join(sentences).encode() + b"\n"))
    for name, members in of_archive.items():
        with tarfile.open(raw / name, "w:gz", compresslevel=6) as archive:
            for member, content in members:
                _add(archive, member, content)


def _finewebedu(raw: Path, size: int, random: np.random.Generator) -> None:
    words = _words(random)
    schema = pa.schema([("text", pa.string()), ("id", pa.string())])
    with pq.ParquetWriter(raw / "000_00000.parquet", schema) as writer:
        for start in range(0, size, _ROW_GROUP):
            count = min(_ROW_GROUP, size - start)
            texts = _sentences(random, words, count, 700)
            writer.write_table(pa.table([texts, [f"urn:{start + n}" for n in range(count)]], schema=schema))


_WRITERS: dict[str, Callable[[Path, int, np.random.Generator], None]] = {
    "criteo1tb": _criteo1tb,
    "fastmri": _fastmri,
    "finewebedu": _finewebedu,
    "imagenet": _imagenet,
    "librispeech": _librispeech,
    "ogbg": _ogbg,
    "wmt": _wmt,
}
DATASETS = tuple(_WRITERS)


def prepare(dataset: str, source: Path, data_dir: Path, progress: Progress) -> Path:
    """The store of raw files of any number: the dataset's `fetch`, as the command calls it, and its preparation."""
    store, what = data_dir / dataset, "Synthetic."
    match dataset:
        case "criteo1tb":
            criteo1tb.prepare_days(criteo1tb.fetch(data_dir, source), store, progress, dataset, what, "a seed")
        case "fastmri":
            raw = fastmri.fetch(data_dir / "raw/fastmri", source)
            fastmri.prepare_volumes(raw, store, progress, dataset, what, "a seed", fastmri.IMAGE_SIZE)
        case "finewebedu":
            finewebedu.prepare(source, store, progress)
        case "imagenet":
            imagenet.prepare_images(groups(source), store, progress, dataset, what, "a seed")
        case "librispeech":
            any_number = dataclasses.replace(librispeech.LIBRISPEECH, utterances={}, description=what)
            librispeech.prepare_corpus(source, store, progress, any_number, "a seed")
        case "ogbg":
            ogbg.prepare_graphs(source, store, progress, dataset, what, "a seed")
        case "wmt":
            fewer_pieces = dataclasses.replace(wmt.WMT, vocab_size=4_000)  # than a real language has
            wmt.prepare_text(wmt.fetch(data_dir / "raw/wmt", source), store, progress, fewer_pieces, "a seed")
    return store
