"""The names that published PyTorch submissions import."""

import os

import torch


def pytorch_setup() -> tuple[bool, int, torch.device, int]:
    """(whether processes share the work, this process's rank, its device, the number of processes with a GPU)."""
    use_ddp = "LOCAL_RANK" in os.environ
    rank = int(os.environ["LOCAL_RANK"]) if use_ddp else 0
    device = torch.device(f"cuda:{rank}" if torch.cuda.is_available() else "cpu")
    return use_ddp, rank, device, torch.cuda.device_count()
