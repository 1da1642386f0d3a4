"""Every number of the page is in a csv, and equal there: of the real A100 leaderboard, both are read."""

import csv
import itertools
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.page_tables import Tables, by_cell, close, embedded, numbers, table, who


def test_scores_intervals_and_ranks(a100: Path, a100_page: Tables):
    scores = {row["submission"]: row for row in table(a100, "scores")}
    spreads = {row["submission"]: row for row in table(a100, "uncertainty")}
    rows = a100_page.named("Leaderboard")
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


def test_times_and_what_takes_them_away(a100: Path, a100_page: Tables):
    reasons = by_cell(a100, "reasons")
    for row in a100_page.named("Times to target"):
        for workload, words in list(row.items())[1:]:
            own = reasons[who(row), workload]
            if own["lost"]:
                assert words.startswith(own["lost"])
                assert own["why"] in words
            else:
                time, ratio = numbers(words)
                assert close(time, own["seconds"]) and close(ratio, own["ratio"])


def test_how_close_the_misses_were(a100: Path, a100_page: Tables):
    closest = by_cell(a100, "closest")
    shown = 0
    for row in a100_page.named("Distance to the targets"):
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


def test_what_it_cost(a100: Path, a100_page: Tables):
    tuning = {row["submission"]: row for row in table(a100, "tuning")}
    for row in a100_page.named("What each submission cost"):
        own = tuning[who(row)]
        assert row["trials"] == own["trials"]
        assert close(row["charged"], own["charged_hours"])
        partly = own["timed_trials"] not in ("0", own["trials"])
        assert numbers(row["wall"])[1:] == ([own["timed_trials"]] if partly else [])
        assert close(numbers(row["wall"])[0], own["wall_hours"])
        assert close(numbers(row["evaluating"])[0], 100 * float(own["eval_share"]))
        assert close(row["accelerator-hours"], own["accelerator_hours"])
        assert (row["ran on"], row["with"]) == (own["hardware"], own["software"] or "not said")


def test_speed_ups(a100: Path, a100_page: Tables):
    reference = "nadamw_baselinev05"
    pairs = {row["submission"]: row for row in table(a100, "time_ratios") if row["to"] == reference}
    rows = a100_page.named("Speed-ups over the reference")
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


def test_a_cell_is_of_the_fasters_colour_and_the_full_one_from_a_factor_of_two_on(a100: Path):
    page = (a100 / "report.html").read_text("utf-8")
    cells = re.findall(r'<td class="number heat (\w+)" style="--p:(\d+)%">([\d.]+)x', page)
    assert len(cells) == 17 * 16
    for color, strength, factor in cells:
        # The factor is shown in two digits.
        assert factor == "1.00" or color == ("faster" if float(factor) > 1 else "slower")
        assert int(strength) == pytest.approx(40 * min(1, abs(math.log2(float(factor)))), abs=1.5)


def pool(a100: Path) -> Iterator[float]:
    for path in a100.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for word in (word for row in csv.reader(file) for word in row):
                yield from (float(number.replace(",", "")) for number in numbers(word.replace("x", " ")))


def test_every_number_of_every_table_is_in_a_csv(a100: Path, a100_page: Tables):
    """Rounded as it is shown; as a percentage, in milliseconds, or the way round."""
    values = sorted(set(pool(a100)))
    values += [scaled for value in values for scaled in (100 * value, 1_000 * value)]
    values += [1 / value for value in values[: len(set(values))] if value]
    by_digits = {
        digits: {f"{value:.{digits}f}" for value in values if math.isfinite(value) and abs(value) < 1e15}
        for digits in range(7)
    }
    strange = []
    for section, label, rows in a100_page.tables:
        for words in (word for row in rows[1:] for word in row[1:]):
            for number in numbers(words.replace("x", " ").replace("|", " ")):
                digits = len(number.partition(".")[2])
                if number.replace(",", "") not in by_digits[digits]:
                    strange.append((section, label, words))
    assert strange == []


def test_the_tables_for_a_paper_say_the_same(a100: Path):
    scores = {row["submission"]: row["score"] for row in table(a100, "scores")}
    text = (a100 / "tables.md").read_text("utf-8").replace("\\_", "_")
    for submission, score in scores.items():
        (line,) = (line for line in text.splitlines() if line.startswith(f"| {submission} |") and "/9 |" in line)
        assert f"| {float(score):.4f} |" in line


def test_what_is_said_of_the_smallest_difference(a100: Path, a100_page: Tables):
    found = {row["what"]: row["value"] for row in table(a100, "summary")}
    words = "".join(words for section, words in a100_page.words if section == "ranks")
    median = re.search(r"differ by less than ([\d.]+) cannot", words)[1]
    low, high = re.search(r"the median pair; ([\d.]+) to ([\d.]+), by pair", words).groups()
    assert close(median, found["smallest difference, median pair"])
    assert close(low, found["smallest difference of a pair"])
    assert close(high, found["largest of the smallest differences"])


def test_what_is_drawn_of_profile_and_limits_is_in_their_files(a100: Path):
    profile, names = table(a100, "profile"), [row["submission"] for row in table(a100, "scores")]
    for line in embedded(a100, "profile-plot-data")["lines"]:
        ends = {float(row["tau"]): row[line["name"]] for row in profile}
        for tau, tip in zip(line["x"], line["tips"], strict=True):
            within, of = numbers(tip)
            assert int(within) / int(of) == pytest.approx(float(ends[tau]))
    scores = {(row["submission"], row["tau_max"]): row for row in table(a100, "alternatives") if "tau" in row["rule"]}
    for line in embedded(a100, "tau-plot-data")["lines"]:
        for tau, score, tip in zip(line["x"], line["y"], line["tips"], strict=True):
            own = scores[line["name"], f"{tau:g}"]
            assert (score, tip) == (pytest.approx(float(own["score"]), abs=1e-6), f"rank {own['rank']}")
    assert [line["name"] for line in embedded(a100, "profile-plot-data")["lines"]] == names


def test_what_is_drawn_of_the_curves_is_in_their_files(a100: Path):
    data = embedded(a100, "curves-data")
    bands: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in table(a100, "curve_bands"):
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
        with (a100 / data["folder"] / trial["p"] / "eval_measurements.csv").open(newline="") as file:
            evaluations = list(csv.DictReader(file))
        # All that fit are there, as sums of what is embedded.
        assert len(trial["v"]) == len(evaluations)
        column = f"validation/{workload['metric'].replace(' ', '_')}"
        units = {"t": (workload["second"], "score"), "n": (1, "global_step"), "v": (workload["value"], column)}
        for name, (unit, of) in units.items():
            sums = [unit * total for total in itertools.accumulate(trial[name])]
            assert sums == pytest.approx([float(row[of]) for row in evaluations], abs=0.51 * unit)
    assert compared > 250
