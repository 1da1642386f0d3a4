"""The word error rate: words inserted, left out or replaced, in a word that was said. `wer` is what targets are of."""

import numpy as np

from workloads.datasets.librispeech import UtteranceSource
from workloads.datasets.source import Batch
from workloads.metrics.words import error_rate, word_errors

NEEDS = frozenset({"predictions"})


def statistics(outputs: dict[str, np.ndarray], batch: Batch, source: UtteranceSource) -> np.ndarray:
    """A row for each valid utterance: errors, and words."""
    return word_errors(outputs, batch, source.tokenizer, str.split)


result = error_rate
