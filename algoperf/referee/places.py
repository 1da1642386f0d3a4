"""Which files a submission may open without a word: where they lie tells it."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from algoperf.submission import whose

# Packages that open files by native code, of which Python hears nothing.
UNHEARD = {"cv2", "ffcv", "h5py", "lmdb", "netCDF4", "orbax", "polars", "pyarrow", "safetensors", "tables", "zarr"}
UNHEARD |= {"tensorflow", "tensorstore", "torchaudio", "torchvision"}

# Where nothing lies that a trial could have left.
_SYSTEM = (
    *(f"/{name}/" for name in ("bin", "dev", "etc", "lib", "lib64", "proc", "sbin", "sys", "usr")),
    *(os.path.realpath(prefix) + os.sep for prefix in {sys.prefix, sys.base_prefix} if prefix != "/"),
)
_CODE = (".py", ".pyc", ".so", ".pyi")
# A submission's settings beside its code.
_SETTINGS = (".json", ".toml", ".txt", ".yaml", ".yml")

Kind = Literal["data", "ordinary", "code", "settings", "other"]


class Places:
    """data: the folder of all data, raw and prepared. folder: the submission's.

    allowed: where it may read and write.
    """

    def __init__(self, data: Path, folder: Path, allowed: Sequence[Path]):
        self.folder = folder
        self._data, self._folder = whose.real_folders(data), whose.real_folders(folder)
        self._ordinary = (*_SYSTEM, *whose.real_folders(*allowed))

    def kind(self, path: str) -> Kind:
        """Of a file, symbolic links resolved. ordinary: of the machine, a library, this program, or an allowed folder.

        settings: of the submission.
        """
        if path.startswith(self._data):
            return "data"
        if path.startswith(self._ordinary) or whose.is_library(path) or whose.is_benchmark(path):
            return "ordinary"
        if path.endswith(_CODE):
            return "code"
        return "settings" if path.startswith(self._folder) and path.endswith(_SETTINGS) else "other"
