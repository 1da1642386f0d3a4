"""What both models check before they compute."""

from algoperf.benchmark.facts import UsageError


def check_size(shape: tuple[int, ...], num_pool_layers: int) -> None:
    """shape: of the images (B, H, W). Raises UsageError where they can not be halved that many times."""
    if any(size % 2**num_pool_layers for size in shape[1:]):
        raise UsageError(
            f"images of {shape[1]} x {shape[2]} can not be halved {num_pool_layers} times; "
            f"their sides must be multiples of {2**num_pool_layers}."
        )
