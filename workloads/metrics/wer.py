"""The word error rate with which the benchmark's targets were set.

The reference decodes into tensors of TensorFlow and splits what `str` says of them into words, so that every utterance
has two more words, `shape=(),` and `dtype=string)`, which are always right, and its first and last word have something
stuck to them. Source: AlgoPerf v0.6, LibriSpeech. `wer_true` is the error rate of the words themselves.
"""

import numpy as np

from workloads.datasets.librispeech import UtteranceSource
from workloads.datasets.source import Batch
from workloads.metrics.words import error_rate, word_errors

NEEDS = frozenset({"predictions"})


def statistics(outputs: dict[str, np.ndarray], batch: Batch, source: UtteranceSource) -> np.ndarray:
    """A row for each valid utterance: errors, and words."""
    return word_errors(outputs, batch, source.tokenizer, words_of_tensor)


def words_of_tensor(text: str) -> list[str]:
    """The words of what TensorFlow says of a tensor that holds `text`."""
    return f"tf.Tensor({text.encode()!r}, shape=(), dtype=string)".split()


result = error_rate
