"""Several short pairs of texts in one row of a batch, so that little of it is padding.

Pairs are taken in order. One that does not fit behind those of the row, on its source or its target side, begins the
next row. So does every `length`-th pair of a batch, for AlgoPerf v0.6's WMT pipeline packs so many at a time.
"""

import numpy as np


def pack(lengths: np.ndarray, length: int, num_rows: int) -> np.ndarray:
    """The row of each pair, ascending from 0, for the first pairs, as many as fill `num_rows` rows of `length` tokens.

    lengths: (n, 2), the tokens of source and target, none of them more than `length`.
    """
    rows: list[int] = []
    row, source, target = 0, 0, 0
    for number, (more_source, more_target) in enumerate(lengths.tolist()):
        source, target = source + more_source, target + more_target
        if source > length or target > length or (number and number % length == 0):
            row, source, target = row + 1, more_source, more_target
        if row == num_rows:
            break
        rows.append(row)
    return np.array(rows, np.int64)


def lay_out(
    tokens: np.ndarray, lengths: np.ndarray, rows: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Texts side by side in the rows of a batch: three arrays, int32 of `shape`, with zeros behind the last text.

    tokens: of all texts, one after the other. lengths, rows: (n,), of each text; the rows ascend from 0.
    Returns the tokens, the position of each in its text, from 0, and the number of the text in its row, from 1.
    """
    first_of_row = np.searchsorted(rows, rows)
    numbers = np.arange(len(rows)) - first_of_row + 1
    positions = np.arange(len(tokens)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    used = np.bincount(rows, lengths, minlength=shape[0])
    filled = np.arange(shape[1]) < used[:, None]
    arrays = np.zeros((3, *shape), np.int32)
    arrays[:, filled] = tokens, positions, np.repeat(numbers, lengths)
    return tuple(arrays)
