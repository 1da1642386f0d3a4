"""What the workflow has written of an experiment: `plan.json`."""

import json
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import UsageError


def read(path: Path) -> Any:
    """Its content, which may be of any form. Raises UsageError where the file cannot be read or is no JSON."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"the plan {path} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise UsageError(f"the plan {path} is not JSON.") from None
