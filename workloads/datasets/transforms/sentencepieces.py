"""Text <-> numbers of word pieces (SentencePiece, unigram model; Kudo 2018), learnt from the training text.

Source: AlgoPerf v0.6, tokenizers of LibriSpeech and WMT: the library's defaults and a character coverage of 1. 0 is
padding and the end of a text is 2, as there. The unknown piece is 1; the reference has it at 0, where an unknown
character reads as padding.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import sentencepiece

from algoperf.benchmark.facts import UsageError
from workloads.datasets.store import FileWriter

PAD_ID, UNKNOWN_ID, EOS_ID = 0, 1, 2
THREADS = 16  # each sums up its share of the text: another number rounds otherwise, and may give another model


def train(sentences: Iterable[str], path: Path, vocab_size: int, max_chars: int = 10_000_000) -> FileWriter:
    """Learns `vocab_size` pieces from the first sentences of `max_chars` characters together, and writes the model.

    The same sentences in the same order give the same file. Returns the closed writer, for the record of the part that
    the file is. Raises UsageError where the text is too short for so many pieces.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_first(sentences, max_chars),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocab_size,
            character_coverage=1.0,
            pad_id=PAD_ID,
            unk_id=UNKNOWN_ID,
            eos_id=EOS_ID,
            bos_id=-1,
            num_threads=THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).rpartition("] ")[2].strip().rstrip(".") or "there is none"
        raise UsageError(f"the text is refused for learning {vocab_size} word pieces ({reason}).") from error
    with FileWriter(path) as writer:
        writer.write(model.getvalue())
    return writer


def _first(sentences: Iterable[str], max_chars: int) -> Iterator[str]:
    """Sentences until there are `max_chars` characters, with an end of line for each; the last is whole."""
    chars = 0
    for sentence in sentences:
        if chars >= max_chars:
            return
        chars += len(sentence) + 1
        yield sentence


class Tokenizer:
    """A model that `train` wrote. Usable from several threads at once."""

    def __init__(self, path: Path) -> None:
        self._processor = sentencepiece.SentencePieceProcessor(model_file=str(path))

    @property
    def vocab_size(self) -> int:
        return self._processor.vocab_size()

    def encode(self, text: str) -> list[int]:
        """The numbers of the text's pieces, in 1 .. vocab_size - 1, and EOS_ID at the end."""
        return [*self._processor.encode(text), EOS_ID]

    def encode_all(self, texts: list[str]) -> list[list[int]]:
        """`encode` of each text, without the interpreter's lock."""
        return self._processor.encode(texts, num_threads=1, add_eos=True)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of pieces; padding and ends of text count for nothing. Raises IndexError for another id."""
        return self._processor.decode(ids)
