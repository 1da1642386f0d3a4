"""What is folded, drawn or said in passing, cell by cell: equal to the row and column of the csv that it is about.

`test_numbers.py` looks for other numbers anywhere in the files, which a wrong one of two digits passes.
"""

import re
from pathlib import Path

import pytest

from algoperf.benchmark.protocol import load_protocol
from scoring.report import write
from tests.support import synthetic_logs
from tests.support.page_tables import Tables, by_cell, close, embedded, numbers, table, who


def same_percent(shown: str, share: str) -> bool:
    """An empty cell is less than half a percent, or of a submission and itself."""
    return close(shown, 100 * float(share)) if shown else not share or float(share) < 0.006


def in_order(a100: Path) -> list[str]:
    return [row["submission"] for row in table(a100, "scores")]


def test_the_tiles_count_what_the_summary_counts(a100: Path, a100_page: Tables):
    found = {row["what"]: row["value"] for row in table(a100, "summary")}
    words = [words.strip() for section, words in a100_page.words if not section and words.strip()]
    shown = {what: words[words.index(what) - 1].replace(",", "") for what in found if what in words}
    assert set(shown) == {"submissions", "workloads", "studies", "trials with evaluations", "evaluations"}
    assert shown == {what: found[what] for what in shown}


def test_what_is_one_is_called_so(tmp_path: Path):
    write(synthetic_logs.result(load_protocol("mini"), submissions=1, studies=1, numbers=1, rows=12), tmp_path)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert re.findall("<b>1</b> <span>(.*?)</span>", page) == ["submission", "study"]


@pytest.mark.parametrize(("place", "by", "suffix"), [(0, "posterior", ""), (1, "studies", "_with_studies")])
def test_probabilities_of_ranks(a100: Path, a100_page: Tables, place: int, by: str, suffix: str):
    spreads = {row["submission"]: row for row in table(a100, "uncertainty")}
    drawn = {row["submission"]: row for row in table(a100, "rank_probabilities") if row["by"] == by}
    made = [rows for _, label, rows in a100_page.tables if label.startswith("Share of the draws")]
    assert len(made) == 2
    for name, score, interval, ranks, *shares in made[place][1:]:
        spread = spreads[name]
        assert close(score, spread["score"])
        low, high = numbers(interval)
        assert close(low, spread[f"low{suffix}"]) and close(high, spread[f"high{suffix}"])
        between = {round(float(spread[f"{end}_rank{suffix}"])) for end in ("low", "high")}
        assert set(map(int, numbers(ranks))) == between
        assert len(shares) == 17
        assert all(same_percent(shown, drawn[name][f"rank_{rank}"]) for rank, shown in enumerate(shares, 1))


def test_who_beats_whom_and_all_pairs(a100: Path, a100_page: Tables):
    names = in_order(a100)
    pairs = {(row["submission"], row["to"]): row for row in table(a100, "time_ratios")}
    beats = next(rows for _, label, rows in a100_page.tables if label.startswith("How likely"))
    faster = next(rows for _, label, rows in a100_page.tables if label.startswith("The official speed-up"))
    for rows in (beats, faster):
        assert [row[0] for row in rows[1:]] == [f"{name}|place {place}" for place, name in enumerate(names, 1)]
    for row, name in enumerate(names, 1):
        for column, other in enumerate(names, 1):
            if name == other:
                assert beats[row][column] == faster[row][column] == ""
                continue
            pair = pairs[name, other]
            assert same_percent(beats[row][column], pair["p_beats"])
            shown, low, high = numbers(faster[row][column].replace("x", " "))
            assert close(shown, pair["speedup"])
            assert close(low, pair["speedup_low"]) and close(high, pair["speedup_high"])


def test_speed_ups_over_every_reference_that_can_be_chosen(a100: Path):
    names = in_order(a100)
    pairs = {(row["submission"], row["to"]): row for row in table(a100, "time_ratios")}
    for to, told in zip(names, embedded(a100, "versus-data"), strict=True):
        for name, words in zip(names, told, strict=True):
            if name == to:
                continue
            pair, (official, interval, capped, reach, steps, beats) = pairs[name, to], words
            assert close(official.rstrip("x"), pair["speedup"])
            low, high = numbers(interval)
            assert close(low, pair["speedup_low"]) and close(high, pair["speedup_high"])
            assert close(capped.rstrip("x"), 1 / float(pair["capped_time_ratio"]))
            for shown, ratio, of in ((reach, "time_ratio", "workloads"), (steps, "step_ratio", "step_workloads")):
                if pair[of] == "0":
                    assert shown == "none"
                    continue
                factor, workloads = numbers(shown.replace("x", " "))
                assert close(factor, 1 / float(pair[ratio])) and workloads == pair[of]
            assert close(beats.removesuffix(" %"), 100 * float(pair["p_beats"]))


def test_what_changes_where_one_is_left_out(a100: Path, a100_page: Tables):
    expected = [row for row in table(a100, "leave_one_out") if row["submission"]]
    shown = []
    for rows in (rows for _, label, rows in a100_page.tables if label == "left out"):
        for cells in rows[1:]:
            if len(cells) == 6:
                left_out, first = cells[:2]
            shown.append((*left_out.split("|")[::-1], first, *cells[-4:]))

    def moved(row: dict[str, str]) -> str:
        before, after = row["rank_before"], row["rank_after"]
        return after if before == after else f"{before} → {after}"

    def scores(row: dict[str, str]) -> str:
        return " → ".join(f"{float(row[name]):.3f}" for name in ("score_before", "score_after"))

    told = [(row["left_out"], row["name"], row["first"], row["submission"]) for row in expected]
    assert sorted(line[:4] for line in shown) == sorted(told)
    by = {line[:2] + line[3:4]: line[4:] for line in shown}
    for row in expected:
        rank, score, why = by[row["left_out"], row["name"], row["submission"]]
        assert (rank, why) == (moved(row), row["why"])
        assert all(close(*pair) for pair in zip(score.split(" → "), scores(row).split(" → "), strict=True))
    words = "".join(words for section, words in a100_page.words if section == "ranks")
    every = {(row["left_out"], row["name"]): row for row in table(a100, "leave_one_out")}
    stable = sum(not row["submission"] for row in every.values())
    first = in_order(a100)[0]
    decisive = sum(bool(row["submission"]) and row["first"] != first for row in every.values())
    assert f"{stable} of {len(every)} leave everything as it is" in words
    assert f"{decisive} of {len(every)} that are left out in turn change who is first" in words
    assert f"{len(every) - stable - decisive} that leave the first where it is" in words


def test_scores_under_other_rules(a100: Path, a100_page: Tables):
    found = {(row["rule"], row["submission"]): row for row in table(a100, "alternatives")}
    (rows,) = (rows for _, _, rows in a100_page.tables if "as scored" in rows[0])
    _, *ways = rows[0]
    changed = dict.fromkeys(ways, 0)
    for name, *cells in rows[1:]:
        for way, words in zip(ways, cells, strict=True):
            own, scored = found[way, name], found["as scored", name]
            score, rank, *before = numbers(words.replace("|", " "))
            assert close(score, own["score"]) and rank.rstrip(",") == own["rank"]
            assert before == ([] if own["rank"] == scored["rank"] else [scored["rank"]])
            changed[way] += own["rank"] != scored["rank"]
    summary = ", ".join(f"{changed[way] or 'none'} {way}" for way in ways[1:])
    assert any(f"Ranks that change under other rules: {summary}" == words for _, words in a100_page.words)


def test_what_was_used_of_the_budgets(a100: Path, a100_page: Tables):
    found = by_cell(a100, "budget")
    shown = 0
    for row in a100_page.named("Fraction of the budget"):
        for workload, words in list(row.items())[1:]:
            if words.endswith("%"):
                assert close(words.removesuffix(" %"), 100 * float(found[who(row), workload]["fraction"]))
                shown += 1
    assert shown > 60


def test_each_study_and_its_trial(a100: Path, a100_page: Tables):
    found: dict[tuple[str, str], list[str]] = {}
    for row in table(a100, "studies"):
        time = f"{float(row['seconds']):,.0f}" if row["trial"] else "missed" if row["readable"] != "0" else "no trial"
        found.setdefault((row["submission"], row["workload"]), []).append(time)
    for row in a100_page.named("Charged seconds"):
        for workload, words in list(row.items())[1:]:
            expected = " ".join(found[who(row), workload])
            assert words == expected


@pytest.mark.parametrize(
    ("label", "column", "unit"),
    [("Charged milliseconds a step", "step_seconds", 1_000), ("When the targets on test were met", "test_seconds", 1)],
)
def test_what_each_cell_cost(a100: Path, a100_page: Tables, label: str, column: str, unit: int):
    found = by_cell(a100, "cost")
    shown = 0
    for row in a100_page.named(label):
        for workload, words in list(row.items())[1:]:
            value = found[who(row), workload][column] if (who(row), workload) in found else ""
            if words in ("", "not met"):
                assert value == {"": "", "not met": "inf"}[words]
                continue
            assert close(numbers(words)[0], unit * float(value))
            shown += 1
    assert shown > 50


def test_legend_bars_and_bands_are_drawn_to_the_numbers(a100: Path, a100_page: Tables):
    scores = {row["submission"]: row["score"] for row in table(a100, "scores")}
    spreads = {row["submission"]: row for row in table(a100, "uncertainty")}
    for place, row in enumerate(a100_page.named("Legend"), 1):
        assert row["place"] == str(place) and close(row["score"], scores[row["submission"]])
    leaderboard = re.search(
        r'<section id="leaderboard">(.*?)</section>', (a100 / "report.html").read_text("utf-8"), re.S
    )
    fills = re.findall(r'class="fill [^"]*" style="width:([\d.]+)%', leaderboard[1])
    marks = re.findall(r'class="interval" style="left:([\d.]+)%;width:([\d.]+)%', leaderboard[1])
    for name, fill, (left, width) in zip(in_order(a100), fills, marks, strict=True):
        low, high = (100 * float(spreads[name][end]) for end in ("low", "high"))
        assert float(fill) == pytest.approx(100 * float(scores[name]), abs=0.006)
        assert (float(left), float(width)) == pytest.approx((low, high - low), abs=0.006)
    bands = {(row["submission"], float(row["tau"])): row for row in table(a100, "profile_bands")}
    compared = 0
    for line in embedded(a100, "profile-plot-data")["lines"]:
        assert (line["band"][0], line["band"][-1]) == (line["x"][0], line["x"][-1]) == (1, 4)  # from end to end
        for tau, low, high in zip(line["band"], line["low"], line["high"], strict=True):
            own = bands[line["name"], tau]
            assert (low, high) == pytest.approx((9 * float(own["low"]), 9 * float(own["high"])), abs=1e-3)
            compared += 1
    assert compared > 17


def test_best_value_distance_and_hit_of_every_trial(a100: Path):
    data, trials = embedded(a100, "curves-data"), {row["path"]: row for row in table(a100, "trials")}
    compared = 0
    for workload in data["workloads"]:
        for trial in workload["trials"]:
            own = trials[trial["p"]]
            assert (data["submissions"][trial["s"]], trial["u"], trial["k"]) == tuple(
                own[name] for name in ("submission", "study", "trial")
            )
            assert trial["x"] == own["status"]
            if "b" not in trial:
                continue
            assert float(trial["b"]) == pytest.approx(float(own["best_value"]), rel=1e-6)
            assert trial["g"] == pytest.approx(float(own["short_of_target"]), abs=1e-6)
            hit = own["hit_seconds"]
            assert trial["h"] == (pytest.approx(float(hit), abs=0.001) if hit and hit != "inf" else None)
            compared += 1
    assert compared == 451


@pytest.mark.parametrize("name", ["hardware", "data_quality"])
def test_evidence_is_the_file(a100: Path, a100_page: Tables, name: str):
    expected = [list(row.values()) for row in table(a100, name)]
    tables = [rows[1:] for section, _, rows in a100_page.tables if section == "evidence"]
    assert any([[cell.replace(",", "") for cell in row] for row in rows] ==
               [[cell.replace(",", "") for cell in row] for row in expected] for rows in tables)  # fmt: skip
