"""Numbers, names and errors as people read them."""

import re
from pathlib import Path

# A name may be broken after these.
_PART = re.compile(r"[^_./-]*[_./-]+|[^_./-]+")


def duration(seconds: float) -> str:
    """`37.0 s`, `12 min 5 s`, `17 h 30 min`, `31 days 21 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 72 else f"{hours // 24} days {hours % 24} h"


def counted(number: int, noun: str) -> str:
    """`1 workload`, `2 studies`, `1,204 trials`."""
    plural = f"{noun.removesuffix('y')}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def broken(text: str, width: int) -> list[str]:
    """The lines of a text, each as long as fits: broken between words, then after their underscores and the like.

    A part that is longer than `width` is a line all the same.
    """
    if len(text) <= width:
        return [text]
    lines = [""]
    for word in text.split():
        if lines[-1] and len(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        for place, part in enumerate(_PART.findall(word)):
            if lines[-1] and (place == 0 or len(lines[-1] + part) > width):
                lines.append("")
            lines[-1] += part
    return lines


def trouble(error: OSError) -> str:
    """`data/raw: Permission denied`: where a disk failed, as far as that is known, and how."""
    what = error.strerror or str(error)
    if error.filename is None:
        return what
    for path in (Path(error.filename), *Path(error.filename).parents):
        if path.is_symlink() and not path.exists():
            return f"{path} is a link to {path.readlink()}, which is not there"
    return f"{error.filename2 or error.filename}: {what}"
