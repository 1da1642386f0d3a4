"""Code of a submission that runs though nobody has called it: while the clock stands, that must not be free.

A checkpoint asks an optimizer for its `state_dict` and a metric for its `__float__`; properties, `__getattr__` and
`__len__` may be anybody's. Python tells every call to a profiling function (`sys.setprofile`), so all of these are seen
alike.
"""

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from algoperf.submission.whose import Owner, file_of

# Seconds at one stop of the clock that are not charged: a small `state_dict` runs for microseconds, and whatever else
# the machine does meanwhile would be measured with it.
TRIFLE = 0.01


class OwnCode:
    """Inside of a `with`: how long this thread runs code of the submission.

    charge: told the seconds, TRIFLE aside, as soon as they are over. seconds: so far, of which `charged` were told.
    names: of the functions that were called by what is not the submission's. is_unseen: whether something ran that this
    does not know of, since the submission had put another profiling function in this one's place, or none.
    """

    def __init__(self, owner: Owner, charge: Callable[[float], None], now: Callable[[], float] = time.perf_counter):
        self.seconds = 0.0
        self.names: list[str] = []
        self._owner, self._charge, self._now = owner, charge, now
        self.charged = 0.0
        self.is_unseen = False
        self._outermost: FrameType | None = None
        self._since = 0.0

    def __enter__(self) -> Self:
        self._before = sys.getprofile()
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *error: object) -> None:
        # A frame without its end: this one was put back, but not before that frame had returned.
        self.is_unseen = sys.getprofile() != self._profile or self._outermost is not None
        # What cProfile sets until Python 3.11 cannot be set from here: such a profile is over with the first stop.
        sys.setprofile(self._before if callable(self._before) else None)

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            if self._outermost is None and self._owner.is_submissions(file_of(frame)):
                self._outermost, self._since = frame, self._now()
                if (name := frame.f_code.co_qualname) not in self.names:
                    self.names.append(name)
        elif event == "return" and frame is self._outermost:
            self._outermost = None
            self.seconds += self._now() - self._since
            if self.seconds - self.charged > TRIFLE:
                self._charge(self.seconds - self.charged)
                self.charged = self.seconds
