"""How Shampoo reads the shape of a parameter: small dimensions merged, large ones cut into blocks. No framework.

Anil et al. 2020, arXiv 2002.09018, and Shi et al. 2023, arXiv 2309.06497, sections on merging and blocking.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Block:
    """A part of a parameter that has preconditioners of its own.

    parameter: which one of the list; merged: the shape it is read in; start and shape: the part of that.
    """

    parameter: int
    merged: Shape
    start: Shape
    shape: Shape

    @property
    def stop(self) -> Shape:
        return tuple(start + size for start, size in zip(self.start, self.shape, strict=True))

    @property
    def slices(self) -> tuple[slice, ...]:
        return tuple(map(slice, self.start, self.stop))


def merged(shape: Shape, limit: int) -> Shape:
    """The shape without dimensions of 1, neighbours merged from the left while their product is at most `limit`.

    At least two dimensions stay, because one alone would not be preconditioned. (3, 3, 64, 128) becomes (576, 128).
    """
    sizes = [size for size in shape if size != 1]
    result = sizes[:1]
    for place, size in enumerate(sizes[1:], start=2):
        order = len(result) + len(sizes) - place
        if result[-1] * size <= limit and order >= 2:
            result[-1] *= size
        else:
            result.append(size)
    return tuple(result)


def blocks(shapes: Iterable[Shape], block_size: int, largest: int) -> dict[str, list[Block]]:
    """The blocks of the parameters that are preconditioned, by their shape as "576x128".

    No dimension of a block is above `block_size`. Left out are vectors and parameters with a dimension above `largest`.
    """
    found: dict[str, list[Block]] = {}
    for parameter, shape in enumerate(shapes):
        sizes = merged(shape, block_size)
        if len(sizes) < 2 or max(sizes) > largest:
            continue
        pieces = [[(at, min(block_size, size - at)) for at in range(0, size, block_size)] for size in sizes]
        for corner in itertools.product(*pieces):
            start, block_shape = map(tuple, zip(*corner, strict=True))
            name = "x".join(map(str, block_shape))
            found.setdefault(name, []).append(Block(parameter, sizes, start, block_shape))
    return found


def shared(costs: Sequence[float], count: int) -> list[list[int]]:
    """Which of the tasks each of `count` workers does: the most expensive first, each to who has least to do."""
    shares: list[list[int]] = [[] for _ in range(count)]
    loads = [0.0] * count
    for task in sorted(range(len(costs)), key=lambda task: -costs[task]):
        worker = loads.index(min(loads))
        shares[worker].append(task)
        loads[worker] += costs[task]
    return shares
