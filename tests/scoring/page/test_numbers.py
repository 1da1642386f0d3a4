"""Every number of the page is in a csv, and equal there: of the real A100 leaderboard, both are read."""

import csv
import itertools
import json
import math
import re
import tarfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from scoring.command import score_logs
from tests.conftest import REPOSITORY

LOGS = REPOSITORY / "tests" / "data" / "scoring" / "algoperf_a100_self_tuning.tar.xz"
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a100")
    with tarfile.open(LOGS) as archive:
        archive.extractall(folder, filter="data")
    score_logs(folder / LOGS.name.removesuffix(".tar.xz"), "v0.6-a100", "self", "as-documented", folder / "out")
    return folder / "out"


class Tables(HTMLParser):
    """tables: (section, label, rows), each row the texts of its cells; what is small stands after a bar."""

    def __init__(self, page: str):
        super().__init__()
        self.section = self.label = ""
        self.tables: list[tuple[str, str, list[list[str]]]] = []
        self.words: list[tuple[str, str]] = []  # beside the tables: section, text
        self.is_cell = self.is_hidden = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "section":
            self.section = values["id"]
        if values.get("class") == "scroll":
            self.label = values["aria-label"]
        if tag == "table":
            self.tables.append((self.section, self.label, []))
        if tag == "tr":
            self.tables[-1][2].append([])
        if tag in ("td", "th"):
            self.tables[-1][2][-1].append("")
            self.is_cell = True
        if tag == "small" and self.is_cell:
            self.tables[-1][2][-1][-1] += "|"
        if tag == "br" and self.is_cell:
            self.tables[-1][2][-1][-1] += " "
        if tag in ("script", "style", "pre", "select", "code"):
            self.is_hidden = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.is_cell = False
        if tag in ("script", "style", "pre", "select", "code"):
            self.is_hidden = False
        if tag == "section":
            self.section = ""

    def handle_data(self, data):
        if self.is_cell:
            self.tables[-1][2][-1][-1] += data
        elif not self.is_hidden:
            self.words.append((self.section, data))

    def named(self, label: str) -> list[dict[str, str]]:
        """The rows of a table by the names of its columns, without what stands below these."""
        (rows,) = (rows for _, own, rows in self.tables if own == label)
        header = [name.partition("|")[0] for name in rows[0]]
        return [dict(zip(header, row, strict=True)) for row in rows[1:]]


@pytest.fixture(scope="module")
def page(out: Path) -> Tables:
    return Tables((out / "report.html").read_text("utf-8"))


def table(out: Path, name: str) -> list[dict[str, str]]:
    with (out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def by_cell(out: Path, name: str) -> dict[tuple[str, str], dict[str, str]]:
    return {(row["submission"], row["workload"]): row for row in table(out, name)}


def who(row: dict[str, str]) -> str:
    return row["submission"].partition("|")[0]


def close(shown: str, value: str | float) -> bool:
    """Whether a number that is shown is one of a csv, to its last shown digit."""
    digits = len(shown.partition(".")[2])
    return abs(float(shown.replace(",", "")) - float(value)) <= 0.5001 * 10**-digits


def numbers(words: str) -> list[str]:
    return NUMBER.findall(words)


def test_scores_intervals_and_ranks(out: Path, page: Tables):
    scores = {row["submission"]: row for row in table(out, "scores")}
    spreads = {row["submission"]: row for row in table(out, "uncertainty")}
    rows = page.named("Leaderboard")
    assert len(rows) == len(scores) == 17
    for row in rows:
        own, spread = scores[who(row)], spreads[who(row)]
        score, low, high = numbers(row["score"])
        assert row["rank"] == own["rank"]
        assert close(score, own["score"])
        assert close(low, spread["low"]) and close(high, spread["high"])
        ranks, first = row["rank between"].split("|")
        assert {numbers(ranks)[0], numbers(ranks)[-1]} == {spread["low_rank"], spread["high_rank"]}
        assert close(numbers(first)[0], 100 * float(spread["p_rank_1"]))


def test_times_and_what_takes_them_away(out: Path, page: Tables):
    reasons = by_cell(out, "reasons")
    for row in page.named("Times to target"):
        for workload, words in list(row.items())[1:]:
            own = reasons[who(row), workload]
            if own["lost"]:
                assert words.startswith(own["lost"])
                assert own["why"] in words
            else:
                time, ratio = numbers(words)
                assert close(time, own["seconds"]) and close(ratio, own["ratio"])


def test_how_close_the_misses_were(out: Path, page: Tables):
    closest = by_cell(out, "closest")
    shown = 0
    for row in page.named("Distance to the targets"):
        for workload, words in list(row.items())[1:]:
            if words == "no data":
                assert (who(row), workload) not in closest
                continue
            own = closest[who(row), workload]
            *short, best, reached, studies = numbers(words)
            assert float(best) == pytest.approx(float(own["best_value"]), rel=1e-4)
            assert (reached, studies) == (own["studies_reached"], own["studies"])
            assert bool(short) == (float(own["gap"]) > 0)
            assert all(close(number, 100 * float(own["share"])) for number in short)
            shown += 1
    assert shown > 140
    # What all 17 lost: the page says how near they came.
    resnet = [float(row["share"]) for (_, workload), row in closest.items() if workload == "imagenet_resnet"]
    assert 0 < min(resnet) < 0.02


def test_what_it_cost(out: Path, page: Tables):
    tuning = {row["submission"]: row for row in table(out, "tuning")}
    for row in page.named("What each submission cost"):
        own = tuning[who(row)]
        assert row["trials"] == own["trials"]
        assert close(row["charged"], own["charged_hours"])
        assert close(numbers(row["wall"])[0], own["wall_hours"])
        assert close(numbers(row["evaluating"])[0], 100 * float(own["eval_share"]))
        assert close(row["accelerator-hours"], own["accelerator_hours"])
        assert (row["ran on"], row["with"]) == (own["hardware"], own["software"] or "not said")


def test_speed_ups(out: Path, page: Tables):
    reference = "nadamw_baselinev05"
    pairs = {row["submission"]: row for row in table(out, "time_ratios") if row["to"] == reference}
    rows = page.named("Speed-ups over the reference")
    for row in rows:
        if who(row) == reference:
            assert row["official speed-up"] == "1 (the reference)"
            continue
        own = pairs[who(row)]
        assert close(numbers(row["official speed-up"].replace("x", " "))[0], own["speedup"])
        low, high = numbers(row["95 % interval"])
        assert close(low, own["speedup_low"]) and close(high, own["speedup_high"])
        assert close(row["capped"].rstrip("x"), 1 / float(own["capped_time_ratio"]))
        assert close(numbers(row["beats it"])[0], 100 * float(own["p_beats"]))
    assert len(rows) == 17


def pool(out: Path) -> Iterator[float]:
    for path in out.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for word in (word for row in csv.reader(file) for word in row):
                yield from (float(number.replace(",", "")) for number in numbers(word.replace("x", " ")))


def test_every_number_of_every_table_is_in_a_csv(out: Path, page: Tables):
    """Rounded as it is shown; as a percentage, in milliseconds, or the way round."""
    values = sorted(set(pool(out)))
    values += [scaled for value in values for scaled in (100 * value, 1_000 * value)]
    values += [1 / value for value in values[: len(set(values))] if value]
    by_digits = {
        digits: {f"{value:.{digits}f}" for value in values if math.isfinite(value) and abs(value) < 1e15}
        for digits in range(7)
    }
    strange = []
    for section, label, rows in page.tables:
        for words in (word for row in rows[1:] for word in row[1:]):
            for number in numbers(words.replace("x", " ").replace("|", " ")):
                digits = len(number.partition(".")[2])
                if number.replace(",", "") not in by_digits[digits]:
                    strange.append((section, label, words))
    assert strange == []


def test_the_tables_for_a_paper_say_the_same(out: Path):
    scores = {row["submission"]: row["score"] for row in table(out, "scores")}
    text = (out / "tables.md").read_text("utf-8").replace("\\_", "_")
    for submission, score in scores.items():
        (line,) = (line for line in text.splitlines() if line.startswith(f"| {submission} |") and "/9 |" in line)
        assert f"| {float(score):.4f} |" in line


def embedded(out: Path, name: str) -> Any:
    text = (out / "report.html").read_text("utf-8")
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', text)[1])


def test_what_is_said_of_the_smallest_difference(out: Path, page: Tables):
    found = {row["what"]: row["value"] for row in table(out, "summary")}
    words = "".join(words for section, words in page.words if section == "ranks")
    median = re.search(r"differ by less than ([\d.]+) cannot", words)[1]
    low, high = re.search(r"the median pair; ([\d.]+) to ([\d.]+), by pair", words).groups()
    assert close(median, found["smallest difference, median pair"])
    assert close(low, found["smallest difference of a pair"])
    assert close(high, found["largest of the smallest differences"])


def test_what_is_drawn_of_profile_and_limits_is_in_their_files(out: Path):
    profile, names = table(out, "profile"), [row["submission"] for row in table(out, "scores")]
    for line in embedded(out, "profile-plot-data")["lines"]:
        ends = {float(row["tau"]): row[line["name"]] for row in profile}
        for tau, tip in zip(line["x"], line["tips"], strict=True):
            within, of = numbers(tip)
            assert int(within) / int(of) == pytest.approx(float(ends[tau]))
    scores = {(row["submission"], row["tau_max"]): row for row in table(out, "alternatives") if "tau" in row["rule"]}
    for line in embedded(out, "tau-plot-data")["lines"]:
        for tau, score, tip in zip(line["x"], line["y"], line["tips"], strict=True):
            own = scores[line["name"], f"{tau:g}"]
            assert (score, tip) == (pytest.approx(float(own["score"]), abs=1e-6), f"rank {own['rank']}")
    assert [line["name"] for line in embedded(out, "profile-plot-data")["lines"]] == names


def test_what_is_drawn_of_the_curves_is_in_their_files(out: Path):
    data = embedded(out, "curves-data")
    bands: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in table(out, "curve_bands"):
        bands.setdefault((row["submission"], row["workload"], row["against"]), []).append(row)
    compared = 0
    for workload in data["workloads"]:
        for place, of_submission in enumerate(workload["bands"]):
            for axis, band in of_submission.items():
                against = {"t": "seconds", "n": "steps"}[axis]
                rows = bands[data["submissions"][place], workload["name"], against]
                for name, column in (("x", "at"), ("y", "median"), ("low", "low"), ("high", "high")):
                    assert band[name] == pytest.approx([float(row[column]) for row in rows], rel=1e-4)
                compared += 1
        trial = next(trial for trial in workload["trials"] if trial["v"])
        with (out / data["folder"] / trial["p"] / "eval_measurements.csv").open(newline="") as file:
            evaluations = list(csv.DictReader(file))
        # All that fit are there, as sums of what is embedded.
        assert len(trial["v"]) == len(evaluations)
        column = f"validation/{workload['metric'].replace(' ', '_')}"
        units = {"t": (workload["second"], "score"), "n": (1, "global_step"), "v": (workload["value"], column)}
        for name, (unit, of) in units.items():
            sums = [unit * total for total in itertools.accumulate(trial[name])]
            assert sums == pytest.approx([float(row[of]) for row in evaluations], abs=0.51 * unit)
    assert compared > 250
