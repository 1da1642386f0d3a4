"""FineWeb-Edu: documents in parquet files -> sequences of GPT-2's tokens."""

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoperf.benchmark.facts import UsageError
from algoperf.trial.input_queue import InputQueue, evaluation_batches
from workloads.datasets import finewebedu, sotu
from workloads.datasets.finewebedu import Documents, fetch, held_out, open_documents, prepare_documents
from workloads.datasets.store import read_manifest, verify
from workloads.datasets.transforms import gpt2

VOCAB_SIZE = 300
LENGTH = 16
END_OF_TEXT = VOCAB_SIZE - 1
SMALL = Documents("small", "Made up.", VOCAB_SIZE, LENGTH, held_out, {"train": 150, "validation": 10})
DATA = {"vocab_size": VOCAB_SIZE, "sequence_length": LENGTH}
ROWS = {"000_a": 130, "001_b": 70}  # of each file, in row groups of 20


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def documents(name: str) -> list[str]:
    rng = np.random.default_rng(len(name) + ROWS[name])
    words = ["the", " quick", " Füchse", "\n", " 2026", "!", " <|endoftext|>", " jump"]
    return ["".join(rng.choice(words, rng.integers(1, 30))) for _ in range(ROWS[name])]


@pytest.fixture(scope="module")
def ranks(data_dir) -> bytes:
    """Of the mini scale's raw files or, where these were removed, from the package."""
    return gpt2.read_ranks(data_dir / "raw/sotu")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(finewebedu, "DOCUMENTS_PER_PART", 50)
    monkeypatch.setattr(finewebedu, "_DOCUMENTS_READ", 7)


@pytest.fixture
def raw(tmp_path, ranks) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / gpt2.FILE).write_bytes(ranks)
    for name, count in ROWS.items():
        table = pa.table({"id": list(range(count)), "text": documents(name)})
        pq.write_table(table, folder / f"{name}.parquet", row_group_size=20)
    return folder


@pytest.fixture
def store(tmp_path, raw) -> Path:
    prepare_documents(raw, tmp_path / "store", quiet, SMALL, "here")
    return tmp_path / "store"


def opened(store, split, num_examples=1_000, **data):
    return open_documents(store, split, num_examples, DATA | data, SMALL)


def everything(source) -> np.ndarray:
    """The tokens of all sequences, (n, T + 1), from the batches of an evaluation."""
    rows = []
    for batch in evaluation_batches(source, 8):
        valid = batch["weights"] == 1
        assert batch["inputs"].dtype == batch["targets"].dtype == np.int32
        assert np.array_equal(batch["inputs"][:, 1:], batch["targets"][:, :-1])
        rows.append(np.column_stack([batch["inputs"], batch["targets"][:, -1]])[valid])
    return np.concatenate(rows)


def streams(split: str, encoding) -> list[list[int]]:
    """What each part should hold of a split: groups of 20 rows belong to the part in which their first row is."""
    parts = []
    for name, count in ROWS.items():
        texts = documents(name)
        for rows in (range(60), range(60, 100), range(100, count)) if count == 130 else (range(60), range(60, count)):
            of_part = [texts[row] for row in rows if held_out(Path(), texts[row]) == split]
            parts.append([token for text in of_part for token in [END_OF_TEXT, *encoding.encode_ordinary(text)]])
    return parts


@pytest.mark.parametrize(("split", "most"), SMALL.most.items())
def test_documents_are_joined_and_cut(store, split, most):
    encoding = gpt2.read_encoding(store / gpt2.FILE)
    of_parts = [np.resize(stream, (len(stream) // 17, 17)) for stream in streams(split, encoding)]
    expected = np.concatenate(of_parts)
    assert len(expected) > most
    assert read_manifest(store).examples(split) == most
    assert np.array_equal(everything(opened(store, split)), expected[:most])
    assert verify(store) == []


def test_a_document_is_on_one_side_only():
    assert held_out(Path(), "a") == held_out(Path("b"), "a")
    sides = [held_out(Path(), f"document {number}") for number in range(10_000)]
    assert sides.count("validation") == pytest.approx(10_000 / 16, rel=0.1)


def test_any_length_can_be_opened(store):
    encoding = gpt2.read_encoding(store / gpt2.FILE)
    rows = everything(opened(store, "train", sequence_length=5))
    assert rows.shape[1] == 6
    first = streams("train", encoding)[0]
    assert rows[:20].ravel().tolist() == first[:120]
    assert 150 * 17 // 6 - 10 < len(rows) <= 150 * 17 // 6


def test_eval_train_is_spread_over_train(store):
    train = everything(opened(store, "train"))
    assert np.array_equal(everything(opened(store, "eval_train", 20)), train[np.arange(20) * 150 // 20])


def test_another_vocabulary_is_refused(store):
    with pytest.raises(UsageError, match="300 tokens and not 50,257"):
        opened(store, "train", vocab_size=50_257)


def test_a_position_of_the_stream_resumes_exactly_for_any_number_of_processes(store):
    whole = InputQueue(opened(store, "train"), 8, 5, dict)
    batches = [next(whole) for _ in range(21)]
    whole.close()
    shards = [InputQueue(opened(store, "train"), 8, 5, dict, position=8 * 19, shard=(rank, 2)) for rank in range(2)]
    for batch in batches[19:]:
        parts = [next(queue) for queue in shards]
        for key in ("inputs", "targets"):
            assert np.array_equal(np.concatenate([part[key] for part in parts]), batch[key])
    for queue in shards:
        queue.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.workloads.datasets.test_finewebedu import SMALL, finewebedu, prepare_documents

def progress(what, done, total):
    if (done, total) == (3, 5):
        os.kill(os.getpid(), signal.SIGKILL)

finewebedu.DOCUMENTS_PER_PART = 50
prepare_documents(Path(sys.argv[1]), Path(sys.argv[2]), progress, SMALL, "here")
"""


def test_a_killed_preparation_goes_on_where_it_stopped(tmp_path, raw, store):
    again = tmp_path / "again"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(raw), str(again)], check=False)
    assert killed.returncode == -signal.SIGKILL
    made = {record.stem for record in (again / "parts").glob("*.json")}
    assert len(made) >= 4
    before = {file: os.stat(file) for file in again.iterdir() if file.stem in made}
    prepare_documents(raw, again, quiet, SMALL, "here")
    for file, stat in before.items():
        assert (os.stat(file).st_ino, os.stat(file).st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns)
    assert read_manifest(again) == read_manifest(store)
    assert verify(again) == []


def with_rows(values: pa.Array):
    """A file whose rows from 63 on, counted from 1, have `values`."""

    def write(path: Path) -> None:
        texts = pa.chunked_array([pa.array(documents(path.stem)[:62]), values])
        pq.write_table(pa.table({"text": texts.combine_chunks()}), path, row_group_size=20)

    return write


def not_utf8() -> pa.Array:
    raw = pa.array([b"good", b"f\xfcr"])
    return pa.StringArray.from_buffers(2, *raw.buffers()[1:])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(b"no parquet"), "001_b.parquet is damaged or not parquet"),
        (lambda path: path.write_bytes(b""), "001_b.parquet is damaged or not parquet"),
        (lambda path: os.truncate(path, path.stat().st_size // 2), "001_b.parquet is damaged or not parquet"),
        (lambda path: path.write_bytes(b"PAR1" + bytes(200) + path.read_bytes()[204:]), "001_b.parquet is damaged"),
        (
            lambda path: pq.write_table(pa.table({"words": ["a"]}), path),
            "001_b.parquet has no column 'text' of strings",
        ),
        (lambda path: pq.write_table(pa.table({"text": [1]}), path), "001_b.parquet has no column 'text' of strings"),
        (with_rows(pa.array(["a", None])), "no text in row 64 of .*001_b.parquet"),
        (with_rows(pa.array(["a", "b", ""])), "no text in row 65 of .*001_b.parquet"),
        (with_rows(not_utf8()), "row 64 of .*001_b.parquet is not UTF-8"),
    ],
    ids=["not parquet", "empty file", "cut", "overwritten", "no column", "numbers", "null", "empty text", "not UTF-8"],
)
def test_bad_data_are_named_by_file_and_row(tmp_path, raw, damage, reason):
    damage(raw / "001_b.parquet")
    with pytest.raises(UsageError, match=reason):
        prepare_documents(raw, tmp_path / "store", quiet, SMALL, "here")
    assert not (tmp_path / "store/manifest.json").exists()


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"no \.parquet files"):
        prepare_documents(tmp_path, tmp_path / "store", quiet, SMALL, "here")


def test_other_ranks_are_refused(tmp_path, raw):
    (raw / gpt2.FILE).write_bytes(b"IQ== 0\n")
    with pytest.raises(UsageError, match="sha256"):
        prepare_documents(raw, tmp_path / "store", quiet, SMALL, "here")


def test_it_has_to_be_downloaded_by_hand(tmp_path):
    with pytest.raises(UsageError, match="--source"):
        fetch(tmp_path, None)


def test_the_encoding_is_gpt_2_s(tmp_path, ranks):
    gpt2.write_vocabulary(ranks, tmp_path / gpt2.FILE, gpt2.VOCAB_SIZE)
    encoding = gpt2.read_encoding(tmp_path / gpt2.FILE)
    assert encoding.n_vocab == 50_257
    assert encoding.eot_token == 50_256
    # Known from OpenAI's release of GPT-2.
    assert encoding.encode("Hello world") == [15496, 995]
    assert encoding.encode("This is a test.  It's 2019!") == [1212, 318, 257, 1332, 13, 220, 632, 338, 13130, 0]


def merged_one_by_one(word: bytes, ranks: dict[bytes, int]) -> list[int]:
    """Byte-pair encoding as it is defined: of all pairs of neighbours, the one that was learnt first is merged."""
    parts = [word[place : place + 1] for place in range(len(word))]
    while pairs := [pair for pair in itertools.pairwise(parts) if b"".join(pair) in ranks]:
        first = min(pairs, key=lambda pair: ranks[b"".join(pair)])
        place = next(place for place in range(len(parts)) if tuple(parts[place : place + 2]) == first)
        parts[place : place + 2] = [b"".join(first)]
    return [ranks[part] for part in parts]


@given(st.text(st.sampled_from("ethaoninsr"), min_size=1, max_size=20), st.integers(257, 2_048))
def test_the_first_merges_alone_are_an_encoding(tmp_path_factory, ranks, word, vocab_size):
    path = tmp_path_factory.getbasetemp() / gpt2.FILE
    gpt2.write_vocabulary(ranks, path, vocab_size)
    encoding = gpt2.read_encoding(path)
    of_bytes = {encoding.decode_single_token_bytes(token): token for token in range(vocab_size - 1)}
    assert encoding.encode_ordinary(word) == merged_one_by_one(word.encode(), of_bytes)
    assert encoding.decode(encoding.encode_ordinary(word)) == word


def test_addresses_are_split_by_their_year(tmp_path):
    for year, number in ((1790, 2), (1790, 1), (2009, 1), (2010, 1), (2026, 1)):
        (tmp_path / f"{year}-Someone-{number}.txt").write_text(f"In {year}, {number}. Größe")
    sotu.write_files(tmp_path, tmp_path)
    texts = {
        split: pq.read_table(tmp_path / f"{split}.parquet")["text"].to_pylist() for split in ("train", "validation")
    }
    assert texts["train"] == ["In 1790, 1. Größe", "In 1790, 2. Größe", "In 2009, 1. Größe"]
    assert texts["validation"] == ["In 2010, 1. Größe", "In 2026, 1. Größe"]
    assert sotu.SOTU.split_of(tmp_path / "validation.parquet", "") == "validation"


def test_a_folder_without_addresses_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no \.txt files"):
        sotu.fetch(tmp_path / "raw", tmp_path)
    assert not (tmp_path / "raw").exists()
