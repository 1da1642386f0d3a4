"""The sizes of a row, and what the sizes of the model must satisfy, in either framework."""

from collections.abc import Sequence

from algoperf.benchmark.facts import UsageError

NUM_NUMBERS = 13
NUM_CATEGORIES = 26
NUM_VECTORS = 1 + NUM_CATEGORIES


def check_sizes(embed_dim: int, bottom_mlp: Sequence[int], top_mlp: Sequence[int], interaction: str, skip: str) -> None:
    """Raises UsageError where vectors that are to be multiplied or added differ in size."""
    if interaction == "dot" and bottom_mlp[-1] != embed_dim:
        raise UsageError(
            f"the dot interaction needs embed_dim, {embed_dim}, to equal the last of bottom_mlp, {bottom_mlp[-1]}."
        )
    for name, widths in (("bottom_mlp", bottom_mlp), ("top_mlp", top_mlp)):
        if skip == "add" and len(set(widths)) > 1:
            raise UsageError(f"skip 'add' needs layers of one width; the widths of {name} are {list(widths)}.")
