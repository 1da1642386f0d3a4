"""Words that a model of speech got wrong: greedy decoding of its frames, and the edit distance to what was said."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from workloads.datasets.source import Batch
from workloads.datasets.transforms.sentencepieces import Tokenizer

BLANK = 0


def collapsed(frames: np.ndarray) -> np.ndarray:
    """The labels that a path of CTC (Graves et al. 2006) stands for: a run of one label counts once, blanks do not.

    frames: (T,) int, one label a frame.
    """
    begins_run = np.diff(frames, prepend=-1) != 0
    return frames[begins_run & (frames != BLANK)]


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """How many words have to be inserted, left out or replaced to make one of the other (Levenshtein 1966)."""
    short, long = sorted((first, second), key=len)
    long = np.array(long, dtype=object)
    places = np.arange(len(long) + 1)
    distances = places  # of no word of `short` to the first 0, 1, ... of `long`
    for number, word in enumerate(short, 1):
        replaced = distances[:-1] + (long != word)
        without_insertions = np.concatenate([[number], np.minimum(replaced, distances[1:] + 1)])
        # k words inserted behind place p cost k more than what p costs: the minimum over all p at once.
        distances = np.minimum.accumulate(without_insertions - places) + places
    return int(distances[-1])


def word_errors(
    outputs: dict[str, np.ndarray],
    batch: Batch,
    tokenizer: Tokenizer,
    words: Callable[[str], list[str]],
) -> np.ndarray:
    """A row for each valid utterance: its errors, and how many words were said; (n, 2) float64.

    words: text -> what is counted. outputs["predictions"]: (B, T) int, a label a frame. batch["targets"]: tokens and
    their paddings, (B, L) both; batch["weights"]: (B,).
    """
    rows = []
    for heard, said in _texts(outputs["predictions"], batch, tokenizer):
        of_heard, of_said = words(heard), words(said)
        rows.append((edit_distance(of_heard, of_said), len(of_said)))
    return np.array(rows, np.float64).reshape(-1, 2)


def _texts(predictions: np.ndarray, batch: Batch, tokenizer: Tokenizer) -> Iterator[tuple[str, str]]:
    """What the model heard, and what was said, of each valid utterance."""
    tokens, paddings = batch["targets"]
    for number in np.flatnonzero(batch["weights"]):
        said = tokens[number][paddings[number] == 0].astype(int)
        yield tokenizer.decode(collapsed(predictions[number]).tolist()), tokenizer.decode(said.tolist())


def error_rate(rows: np.ndarray) -> float:
    """Errors in a word; above 1 where more was heard than said."""
    errors, words = rows.sum(axis=0)
    return float(errors / words)
