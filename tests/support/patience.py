"""How long a test waits for what must come: on a machine that has much else to do, that takes many times as long.

Less than the suite's limit for a test, so that what never comes has a name.
"""

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 500.0  # seconds


def wait_until(read: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """What `read` gives once that is true. Raises TimeoutError, which says what was waited for."""
    deadline = time.monotonic() + seconds
    while not (found := read()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} after {seconds:.0f} s")
        time.sleep(0.05)
    return found
