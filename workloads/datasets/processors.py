"""How many processors this process may use, which on a shared machine are fewer than there are."""

import functools
import math
import os
from pathlib import Path

_GROUPS = Path("/proc/self/cgroup")
_ROOT = Path("/sys/fs/cgroup")


# More threads than processors, as Python's own pools have: some wait for the disk.
_WAITING, _MOST = 4, 32


@functools.cache
def available() -> int:
    """The processors that this process may run on, or fewer where its control groups give it less of their time."""
    allowed = len(os.sched_getaffinity(0))
    return max(1, min([allowed, *map(math.ceil, _shares())]))


def threads() -> int:
    """How many threads may read data at once."""
    return min(_MOST, available() + _WAITING)


def _shares() -> list[float]:
    """What each control group that this process is in may use, in processors; those without a limit are left out."""
    found = []
    for folder in _folders():
        of_version_1 = (_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        words = (_text(folder / "cpu.max") or " ".join(of_version_1)).split()
        if len(words) == 2 and all(word.isdigit() for word in words) and int(words[1]):  # else `max`, or -1
            found.append(int(words[0]) / int(words[1]))
    return found


def _folders() -> list[Path]:
    """Of the control groups for processors and of all that these are in; in a container its own is the first."""
    found = [_ROOT, _ROOT / "cpu", _ROOT / "cpu,cpuacct"]
    for line in _text(_GROUPS).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            group = Path(path.lstrip("/"))
            found += [_ROOT / controllers / inside for inside in (group, *group.parents)]
    return list(dict.fromkeys(found))


def _text(path: Path) -> str:
    """Empty where there is nothing to be read."""
    try:
        return path.read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""
