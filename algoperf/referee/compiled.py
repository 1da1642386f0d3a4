"""Where a trial keeps what it compiles: in caches of its own, which are empty when it begins.

Compilers look on the disk for what they have compiled before. A first step costs twenty times as much without what an
earlier trial has left there, so it would be chance, or the order of the trials, what is charged. A trial's caches lie
on the disk of its machine. With each checkpoint they are copied beside it, so that a trial that goes on is not charged
twice, nor given what was compiled after its checkpoint.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from algoperf.backends import Backend
from algoperf.records.atomic import writing
from algoperf.records.scratch import Scratch

# Names a folder that all trials share instead: tests train the same small models again and again. Results say so.
SHARED = "ALGOPERF_SHARED_COMPILE_CACHE"

# The variables by which compilers are told where their caches are.
_FOLDERS = {
    "CUDA_CACHE_PATH": "cuda",
    "CUPY_CACHE_DIR": "cupy",
    "JAX_COMPILATION_CACHE_DIR": "jax",
    "NUMBA_CACHE_DIR": "numba",
    "PYTORCH_KERNEL_CACHE_PATH": "torch_kernels",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TORCH_EXTENSIONS_DIR": "torch_extensions",
    "TRITON_CACHE_DIR": "triton",
    "XDG_CACHE_HOME": "others",
}
# Caches that lie elsewhere all the same: on a server, or where all trials of a user find them.
_OFF = (
    "TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS",  # of a machine's user, wherever the other caches are
    "TORCHINDUCTOR_AUTOGRAD_REMOTE_CACHE",
    "TORCHINDUCTOR_AUTOTUNE_REMOTE_CACHE",
    "TORCHINDUCTOR_FX_GRAPH_REMOTE_CACHE",
)
# Marks of an option in XLA_FLAGS that names a file with what was compiled or measured before.
_XLA = ("cache", "autotune_results")


class CompileCaches:
    """The caches of one process of a trial. shared: the folder that it was told to share, None where they are its own.

    folder: where they are, from `announce` on.
    """

    def __init__(self):
        self.shared = os.environ.get(SHARED)
        self._own = Scratch("compiled") if self.shared is None else None
        self.folder = Path(self.shared) if self._own is None else self._own.folder
        self._saved: dict[str, tuple[int, int]] = {}

    def announce(self) -> None:
        """Tells the compilers by their variables; call it before a framework is imported."""
        for variable, folder in self._variables.items():
            os.environ[variable] = folder
            Path(folder).mkdir(exist_ok=True)
        os.environ |= dict.fromkeys(_OFF, "0")
        flags = os.environ.get("XLA_FLAGS", "").split()
        if any(mark in flag for flag in flags for mark in _XLA):
            os.environ["XLA_FLAGS"] = " ".join(flag for flag in flags if not any(mark in flag for mark in _XLA))

    def use(self, backend: Backend) -> None:
        """From here on, whatever was said since."""
        self.announce()
        backend.compile_into(self.folder / "jax")

    def elsewhere(self, backend: Backend) -> str | None:
        """Where a compiler was told to keep what it compiles, None where all is as `use` has left it."""
        found = {variable: os.environ.get(variable) for variable in self._variables}
        others = [value for variable, value in found.items() if value != self._variables[variable]]
        if (folder := backend.compiles_into(self.folder / "jax")) is not None:
            others.append(folder)
        return str(others[0]) if others else None

    @property
    def _variables(self) -> dict[str, str]:
        return {variable: str(self.folder / name) for variable, name in _FOLDERS.items()}

    def save(self, folder: Path) -> list[str]:
        """Copies what is new to `folder`; the names of all that is there now. Shared caches are not copied."""
        if self.shared is not None:
            return []
        found = {}
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink()):
            name, status = str(path.relative_to(self.folder)), path.stat()
            found[name] = (status.st_size, status.st_mtime_ns)
            if self._saved.get(name) != found[name]:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                with writing(folder / name) as file, path.open("rb") as compiled:
                    shutil.copyfileobj(compiled, file)
        self._saved = found
        return list(found)

    def restore(self, folder: Path, names: Sequence[str]) -> None:
        """Copies back what a checkpoint names; where that is nothing, `folder` has nothing that anybody wants."""
        if self.shared is not None:
            return
        if not names:
            shutil.rmtree(folder, ignore_errors=True)
        for name in names:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(folder / name, self.folder / name)
