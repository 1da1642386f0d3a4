"""Numbers as people read them."""


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
