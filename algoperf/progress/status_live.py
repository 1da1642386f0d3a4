"""The status of an experiment on a terminal, looked at again every few seconds."""

import time

from rich.console import Console
from rich.live import Live

from algoperf.progress.forecast import forecast
from algoperf.progress.status import Reader
from algoperf.progress.status_view import live_view

# Seconds between two looks: a file system that a whole cluster shares is asked for some files of each trial.
_PERIOD = 3.0


def watch(reader: Reader, console: Console) -> None:
    """Until Ctrl-C, or until no trial runs or waits any more. The terminal shows again what it showed before."""
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                found = reader.read()
                live.update(live_view(found, forecast(found, time.time()), console), refresh=True)
                if all(entry.progress not in ("running", "waiting") for entry in found):
                    return
                time.sleep(_PERIOD)
    except KeyboardInterrupt:
        return
