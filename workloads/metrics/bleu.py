"""Corpus BLEU (Papineni, Roukos, Ward and Zhu 2002) as sacreBLEU 2 computes it: mteval's 13a tokens, `exp` smoothing.

Hypothesis and reference are both texts that the source's tokenizer makes of token ids, as in AlgoPerf v0.6, WMT.
"""

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from workloads.datasets.source import Batch, Source
from workloads.datasets.transforms.sentencepieces import EOS_ID, PAD_ID

NEEDS = frozenset({"translations"})
MAX_ORDER = 4  # tokens of the longest n-grams

_BLEU = BLEU(tokenize="13a", smooth_method="exp", max_ngram_order=MAX_ORDER, effective_order=True)


def statistics(outputs: dict[str, np.ndarray], batch: Batch, source: Source) -> np.ndarray:
    """translations, targets, weights: (B, T). A row for each sentence of weight: how many tokens hypothesis and
    reference have, how many n-grams they have in common, n = 1 .. 4, and how many there are in the hypothesis.
    """
    valid = batch["weights"].any(axis=1)
    rows = [
        sentence_statistics(_text(translation, source), _text(target, source))
        for translation, target in zip(outputs["translations"][valid], batch["targets"][valid], strict=True)
    ]
    return np.array(rows, np.float64).reshape(-1, 2 + 2 * MAX_ORDER)


def _text(ids: np.ndarray, source: Source) -> str:
    """What stands before the end of the text."""
    ends = np.flatnonzero((ids == EOS_ID) | (ids == PAD_ID))
    return source.tokenizer.decode(ids[: ends[0] if len(ends) else None].tolist())


def sentence_statistics(hypothesis: str, reference: str) -> list[int]:
    """What corpus BLEU needs to know of one sentence."""
    score = _BLEU.sentence_score(hypothesis, [reference])
    return [score.sys_len, score.ref_len, *score.counts, *score.totals]


def result(statistics: np.ndarray) -> float:
    """BLEU in [0, 100]."""
    hypothesis_length, reference_length, *counts = statistics.sum(axis=0).astype(int).tolist()
    score = BLEU.compute_bleu(
        correct=counts[:MAX_ORDER],
        total=counts[MAX_ORDER:],
        sys_len=hypothesis_length,
        ref_len=reference_length,
        smooth_method="exp",
    )
    return score.score
