"""How a command ends: 0 a result, 1 an infrastructure failure, 2 a usage error, each but the first with a sentence."""

import sys
import traceback
from collections.abc import Callable

from algoperf.benchmark.facts import InfrastructureError, UsageError
from algoperf.machine import ranks
from algoperf.records.words import trouble


def of(app: Callable[[], None]) -> int:
    """Runs the command line. Turns the errors that a person should see into one sentence."""
    try:
        app()
        return 0
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1 if error.code else 0
    except Exception as error:
        sentence, code = _told(error)
        if sentence is not None:
            print(f"error: {sentence}", file=sys.stderr)
            return code
        if not ranks.are_several():
            raise
        traceback.print_exc()
        return 1


def _told(error: Exception) -> tuple[object | None, int]:
    """What a person is told of an error, None where that is where it came from; and the exit code."""
    match error:
        case ModuleNotFoundError():
            from algoperf.machine import installation

            return installation.way_out(error), 2
        case UsageError():
            return error, 2
        case InfrastructureError():
            return error, 1
        case OSError():  # of whatever file: a disk that is full, a quota, a dead link, a folder of somebody else's
            return f"{trouble(error)}.", 1
    return None, 1
