"""WMT: parallel text as people have it -> word pieces -> the rows that the reference packs."""

import gzip
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoperf.benchmark.facts import UsageError
from algoperf.trial.input_queue import InputQueue, evaluation_batches
from tests.conftest import REPOSITORY
from workloads.datasets import trans_de_en
from workloads.datasets.raw import wmt
from workloads.datasets.store import read_manifest, verify
from workloads.datasets.transforms.packing import lay_out, pack
from workloads.datasets.wmt import ParallelText, fetch, open_split, prepare_text

ORACLE = np.load(REPOSITORY / "tests/data/datasets/wmt_packing.npz")
MAX_LENGTH = 80
SPLITS = {"train": 301, "validation": 40, "test": 20}
TEXT = ParallelText("small", "Made up.", {split: split for split in SPLITS}, vocab_size=60)
GERMAN = "der Hund die Katze das Haus sieht findet einen kleinen Vogel und schläft heute über Nacht"
ENGLISH = "the dog a cat house sees finds one small bird and sleeps today through night over"
WORDS = {"de": GERMAN.split(), "en": ENGLISH.split()}


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def lines(language: str, count: int, seed: int) -> list[str]:
    """Sentences of 1 to 12 words; every hundredth is far too long."""
    rng = np.random.default_rng(seed)
    numbers = [100 if line % 100 == 99 else rng.integers(1, 13) for line in range(count)]
    return [" ".join(rng.choice(WORDS[language], number)) for number in numbers]


def write_raw(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Three splits, train of two corpora, one of them compressed; returns the pairs of each."""
    folder.mkdir()
    pairs = {}
    for split, count in SPLITS.items():
        of_split = [lines(language, count, len(split) + seed) for seed, language in enumerate(("de", "en"))]
        pairs[split] = list(zip(*of_split, strict=True))
        for language, texts in zip(("de", "en"), of_split, strict=True):
            if split == "train":
                (folder / f"train.news.v1.{language}").write_text("\n".join(texts[:200]) + "\n")
                (folder / f"train.web.{language}.gz").write_bytes(gzip.compress("\n".join(texts[200:]).encode()))
            else:
                (folder / f"{split}.{language}").write_text("\n".join(texts) + "\n")
    return pairs


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(wmt, "LINES_PER_BLOCK", 64)
    monkeypatch.setattr(wmt, "_CHUNK", 1_000)


@pytest.fixture
def raw(tmp_path) -> Path:
    write_raw(tmp_path / "raw")
    return tmp_path / "raw"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> tuple[Path, dict[str, list[tuple[str, str]]]]:
    folder = tmp_path_factory.mktemp("wmt")
    pairs = write_raw(folder / "raw")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wmt, "LINES_PER_BLOCK", 64)
        prepare_text(folder / "raw", folder / "store", quiet, TEXT, "here")
    return folder / "store", pairs


@pytest.fixture
def store(prepared) -> Path:
    return prepared[0]


def opened(store: Path, split: str, num_examples: int = 301):
    return open_split(store, split, num_examples, {"max_length": MAX_LENGTH})


def everything(source) -> list[tuple[str, str]]:
    """The texts of all pairs, from the batches of an evaluation."""
    decoded = []
    for batch in evaluation_batches(source, 7):
        valid = batch["weights"].any(axis=1)
        texts = ([source.tokenizer.decode(row.tolist()) for row in batch[key][valid]] for key in ("inputs", "targets"))
        decoded += zip(*texts, strict=True)
    return decoded


def test_packing_is_the_reference_s():
    lengths = np.stack([ORACLE["src_len"], ORACLE["tgt_len"]], axis=1).astype(int)
    rows = pack(lengths, 20, 100)
    assert len(rows) == 40
    for side, (flat, key) in enumerate((("src_flat", "inputs"), ("tgt_flat", "targets"))):
        arrays = lay_out(ORACLE[flat], lengths[:, side], rows, (12, 20))
        for found, name in zip(arrays, (key, f"{key}_position", f"{key}_segmentation"), strict=True):
            assert found.dtype == np.int32
            assert np.array_equal(found, ORACLE[name]), name


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=60), st.integers(1, 9))
def test_packing_goes_on_where_a_batch_ended(lengths, num_rows):
    """Any batch is packed as if it were the first, and has no row that is too long or empty."""
    lengths, begin = np.array(lengths), 0
    while begin < len(lengths):
        rows = pack(lengths[begin:], 12, num_rows)
        assert rows[0] == 0
        assert set(np.diff(rows)) <= {0, 1}
        assert rows[-1] < num_rows
        used = np.stack([np.bincount(rows, lengths[begin : begin + len(rows), side]) for side in (0, 1)])
        assert used.max() <= 12
        begin += len(rows)
        assert begin == len(lengths) or rows[-1] == num_rows - 1


def test_all_pairs_are_stored_and_long_ones_left_out_when_read(prepared):
    store, pairs = prepared
    manifest = read_manifest(store)
    assert {split: manifest.examples(split) for split in SPLITS} == SPLITS
    assert verify(store) == []
    for split in ("validation", "test"):
        assert everything(opened(store, split)) == pairs[split]
    short = [pair for pair in pairs["train"] if max(len(text.split()) for text in pair) < 100]
    assert len(opened(store, "train")) == len(short) == 298
    assert everything(opened(store, "eval_train", 298)) == short


def test_eval_train_is_spread_over_train(prepared):
    store, pairs = prepared
    short = [pair for pair in pairs["train"] if max(len(text.split()) for text in pair) < 100]
    assert everything(opened(store, "eval_train", 10)) == [short[298 * number // 10] for number in range(10)]


def test_a_split_of_too_long_pairs_is_refused(store):
    with pytest.raises(UsageError, match=r"every pair of test .* max_length = 1 "):
        open_split(store, "test", 0, {"max_length": 1})


def test_a_row_of_an_evaluation_is_one_pair(store):
    (batch,) = evaluation_batches(opened(store, "test"), 20)
    assert set(batch) == {"inputs", "targets", "weights"}
    for key in ("inputs", "targets"):
        assert batch[key].shape == (20, MAX_LENGTH)
        assert batch[key].dtype == np.int32
        ends = (batch[key] == 2).argmax(axis=1)
        assert ((batch[key] > 0) == (np.arange(MAX_LENGTH) <= ends[:, None])).all()
    assert np.array_equal(batch["weights"], (batch["targets"] > 0).astype(np.float32))


def test_a_row_of_training_has_whole_pairs_with_their_positions(prepared):
    store, pairs = prepared
    source = opened(store, "train")
    queue = InputQueue(source, 8, seed=3, place=dict)
    batch = next(queue)
    queue.close()
    seen = 0
    for row in range(8):
        count = batch["inputs_segmentation"][row].max()
        assert count == batch["targets_segmentation"][row].max() > 0
        for segment in range(1, count + 1):
            pair = []
            for key in ("inputs", "targets"):
                here = batch[f"{key}_segmentation"][row] == segment
                assert batch[f"{key}_position"][row][here].tolist() == list(range(here.sum()))
                pair.append(source.tokenizer.decode(batch[key][row][here].tolist()))
            assert tuple(pair) in pairs["train"]
            seen += 1
    assert queue.position == seen
    for key in ("inputs", "targets"):
        assert np.array_equal(batch[f"{key}_segmentation"] > 0, batch[key] > 0)
        assert not batch[f"{key}_position"][batch[key] == 0].any()
    assert np.array_equal(batch["weights"], (batch["targets"] > 0).astype(np.float32))


def same(first, second):
    assert list(first) == list(second)
    for key, array in first.items():
        np.testing.assert_array_equal(array, second[key])


def test_a_position_of_the_stream_resumes_exactly(store):
    source = opened(store, "train")
    whole = InputQueue(source, 6, seed=5, place=dict)
    batches, positions = [], []
    for _ in range(30):  # more than one epoch
        positions.append(whole.position)
        batches.append(next(whole))
    whole.close()
    assert positions[-1] > len(source)
    for number in (1, 7, 29):
        rest = InputQueue(source, 6, seed=5, place=dict, position=positions[number])
        same(next(rest), batches[number])
        rest.close()


@pytest.mark.parametrize("world_size", [2, 4])
def test_processes_together_read_the_rows_of_one(store, world_size):
    alone = InputQueue(opened(store, "train"), 8, 5, dict)
    together = [InputQueue(opened(store, "train"), 8, 5, dict, shard=(rank, world_size)) for rank in range(world_size)]
    for _ in range(10):
        parts = [next(queue) for queue in together]
        same({key: np.concatenate([part[key] for part in parts]) for key in parts[0]}, next(alone))
    assert {queue.position for queue in together} == {alone.position}
    for queue in (alone, *together):
        queue.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.workloads.datasets.test_wmt import TEXT, prepare_text, wmt

def progress(what, done, total):
    if done == 4:
        os.kill(os.getpid(), signal.SIGKILL)

wmt.LINES_PER_BLOCK = 64
prepare_text(Path(sys.argv[1]), Path(sys.argv[2]), progress, TEXT, "here")
"""


def test_a_killed_preparation_goes_on_where_it_stopped(tmp_path, raw, store):
    again = tmp_path / "again"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(raw), str(again)], check=False)
    assert killed.returncode == -signal.SIGKILL
    made = {record.stem for record in (again / "parts").glob("*.json")}
    assert "tokenizer" in made
    assert len(made) >= 5
    before = {file: os.stat(file) for file in again.iterdir() if file.stem in made}
    (again / ".test-000.tokens.4711.tmp").write_bytes(b"what a killed process leaves")
    prepare_text(raw, again, quiet, TEXT, "here")
    for file, stat in before.items():
        assert (os.stat(file).st_ino, os.stat(file).st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns)
    assert read_manifest(again) == read_manifest(store)
    assert verify(again) == []


def with_line(content: bytes, number: int, line: bytes) -> bytes:
    every = content.split(b"\n")
    return b"\n".join([*every[: number - 1], line, *every[number:]])


@pytest.mark.parametrize(
    ("file", "damage", "reason"),
    [
        ("train.news.v1.en", lambda content: with_line(content, 130, b""), "line 130 of .*v1.en is empty"),
        ("validation.de", lambda content: with_line(content, 40, b""), "line 40 of .*validation.de is empty"),
        ("train.news.v1.de", lambda content: with_line(content, 199, b"f\xfcr"), "line 199 of .*v1.de is not UTF-8"),
        ("test.en", lambda content: content + b"one more\n", "test.de has 20 lines and test.en 21"),
        ("test.en", lambda content: b"", "test.en is empty"),
        ("train.web.de.gz", lambda content: content[:-20], "train.web.de.gz can not be read"),
        ("train.web.en.gz", lambda content: b"not gzip at all", "train.web.en.gz can not be read"),
    ],
)
def test_bad_data_are_named_by_file_and_line(tmp_path, raw, file, damage, reason):
    (raw / file).write_bytes(damage((raw / file).read_bytes()))
    with pytest.raises(UsageError, match=reason):
        prepare_text(raw, tmp_path / "store", quiet, TEXT, "here")
    assert not (tmp_path / "store/manifest.json").exists()


@pytest.mark.parametrize(
    ("file", "reason"),
    [("validation.de", r"has validation.en, but no validation.de"), ("train.web.en.gz", "no train.web.en")],
)
def test_a_missing_file_is_named(tmp_path, raw, file, reason):
    (raw / file).unlink()
    with pytest.raises(UsageError, match=reason):
        prepare_text(raw, tmp_path / "store", quiet, TEXT, "here")


def test_a_missing_text_is_named(tmp_path, raw):
    for language in ("de", "en"):
        (raw / f"test.{language}").unlink()
    with pytest.raises(UsageError, match=r"has no test.de and test.en"):
        prepare_text(raw, tmp_path / "store", quiet, TEXT, "here")


def test_it_has_to_be_downloaded_by_hand(tmp_path):
    with pytest.raises(UsageError, match="--source"):
        fetch(tmp_path, None)


def test_word_pieces_are_learnt_from_pairs_all_over_the_text(raw):
    blocks = wmt.find_blocks(raw, "train")
    everything = [text for block in blocks for pair in block.read() for text in pair]
    assert list(wmt.sample(blocks, 10**9)) == everything
    some = list(wmt.sample(blocks, sum(map(len, everything)) // 5))
    assert set(some[::2]) <= set(everything[::2])
    assert set(some[1::2]) <= set(everything[1::2])
    assert len(everything) / 6 < len(some) < len(everything) / 4


DICTIONARY = """# Version
Aal {m} | Der Aal schläft {vi} (im Fluss) . ; Er ruht heute. [ugs.] :: eel | The eel <fish> is asleep. ; It rests now.
Wo ist er? | Er ist da/dort. | Da ist er. | Er geht heim. :: Where is he? | He is there. | He's there now. | goes home.
Da ist er. | Wo war er? | Er kam heim. :: There he is. | Where is he? | He came home.
"""


def test_sentences_of_the_dictionary():
    """With both sides whole, their first synonym, without notes and alternatives, and none twice."""
    assert list(trans_de_en.without_repetitions(trans_de_en.sentences(DICTIONARY))) == [
        ("Der Aal schläft.", "The eel is asleep."),
        ("Wo ist er?", "Where is he?"),
        ("Da ist er.", "He's there now."),
        ("Er kam heim.", "He came home."),
    ]


def test_another_dictionary_is_refused(tmp_path):
    with pytest.raises(UsageError, match="has no de-en"):
        trans_de_en.fetch(tmp_path / "raw", tmp_path)
    (tmp_path / "de-en").write_text(DICTIONARY)
    with pytest.raises(UsageError, match="sha256"):
        trans_de_en.fetch(tmp_path / "raw", tmp_path)
    assert not (tmp_path / "raw").exists()


def archives(folder: Path) -> Path:
    """WMT's archives as they are, each with another language's text too, and pairs of which one side is empty."""
    folder.mkdir()
    texts = {
        "training-parallel-commoncrawl.tgz": {"commoncrawl.de-en": (["eins", "", "drei "], ["one", "two", "three"])},
        "training-parallel-europarl-v7.tgz": {
            "training/europarl-v7.de-en": (["a", "b\r", " "], ["A", "B", "C"]),
            "training/europarl-v7.fr-en": (["x"], ["y"]),
        },
        "training-parallel-nc-v12.tgz": {"training/news-commentary-v12.de-en": (["Füchse"], ["foxes"])},
        "rapid2016.tgz": {"./rapid2016.de-en": (["r", "s"], ["R", ""])},
    }
    for name, members in texts.items():
        with tarfile.open(folder / name, "w:gz") as archive:
            for stem, sides in members.items():
                for language, side in zip((stem[-5:-3], "en"), sides, strict=True):
                    add(archive, f"{stem}.{language}", "".join(f"{line}\n" for line in side).encode())
    with tarfile.open(folder / "dev.tgz", "w:gz") as archive:
        for language, line in (("de", "Hallo"), ("en", "Hello")):
            add(archive, f"dev/newstest2013.{language}", f"{line}\n".encode())
            side = "src" if language == "de" else "ref"
            segments = f'<srcset>\n<doc>\n<seg id="1">{line} &amp; 1</seg>\n<seg id="2">{line}</seg>\n</doc>\n'
            add(archive, f"dev/newstest2014-deen-{side}.{language}.sgm", segments.encode())
            add(archive, f"dev/newstest2014-fren-{side}.{language}.sgm", b"other")
    return folder


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def test_archives_become_texts_without_the_empty_pairs(tmp_path):
    """A pair goes where the reference leaves it out: where a side has nothing, not even a space."""
    raw = fetch(tmp_path / "raw/wmt", archives(tmp_path / "source"))
    assert {path.name: path.read_bytes().decode() for path in raw.iterdir()} == {
        "train.commoncrawl.de": "eins\ndrei \n",
        "train.commoncrawl.en": "one\nthree\n",
        "train.europarl-v7.de": "a\nb\r\n \n",
        "train.europarl-v7.en": "A\nB\nC\n",
        "train.news-commentary-v12.de": "Füchse\n",
        "train.news-commentary-v12.en": "foxes\n",
        "train.rapid2016.de": "r\n",
        "train.rapid2016.en": "R\n",
        "newstest2013.de": "Hallo\n",
        "newstest2013.en": "Hello\n",
        "newstest2014.de": "Hallo &amp; 1\nHallo\n",
        "newstest2014.en": "Hello &amp; 1\nHello\n",
    }
    assert [path.name for path in raw.parent.iterdir()] == ["wmt"]
    assert fetch(raw, tmp_path / "source") == raw


def with_another_byte(content: bytes) -> bytes:
    """In the checksum, which only he notices who reads to the end."""
    return content[:-6] + bytes([content[-6] ^ 1]) + content[-5:]


def longer(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        add(archive, "rapid2016.de-en.de", b"a\nb\n")
        add(archive, "rapid2016.de-en.en", b"A\n")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.unlink(), "has no rapid2016.tgz; `algoperf data fetch` brings it"),
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), "rapid2016.tgz is damaged or cut short"),
        (lambda path: path.write_bytes(with_another_byte(path.read_bytes())), "rapid2016.tgz is damaged or cut short"),
        (
            lambda path: shutil.copy(path.with_name("dev.tgz"), path),
            "holds no rapid2016.de-en.de and rapid2016.de-en.en",
        ),
        (longer, "rapid2016.de-en.de and rapid2016.de-en.en in .* have different numbers of lines"),
    ],
)
def test_a_damaged_archive_is_named_and_nothing_stays(tmp_path, damage, reason):
    source = archives(tmp_path / "source")
    damage(source / "rapid2016.tgz")
    with pytest.raises(UsageError, match=reason):
        fetch(tmp_path / "raw/wmt", source)
    assert list((tmp_path / "raw").glob("*")) == []
