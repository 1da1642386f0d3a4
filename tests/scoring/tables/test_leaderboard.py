"""The leaderboard fits into its terminal: no line is wider, no border is lost, names are broken where they may be."""

import io
import re

import pytest
from rich.console import Console

from algoperf.benchmark.protocol import load_protocol
from scoring.logs.info import Info
from scoring.logs.read import read_logs
from scoring.logs.trials import Logs
from scoring.result import Result
from scoring.rules.score import score_trials
from scoring.tables.leaderboard import leaderboard, shown
from tests.support import synthetic_logs
from tests.support.scoring_logs import V05

# As `docs/` of no submission has them: with parts, without any, longer than any column.
NAMES = ("a_name_of_forty_letters_in_several_parts", "anamewithoutanypartsthatisfortyletters00", "short")
A100 = load_protocol("v0.6-a100")


@pytest.fixture(scope="module")
def logs():
    return read_logs("published:v0.6-a100-self", A100, "self")


def printed(logs, names, width, published=()):
    """names: in the place of the first submissions' own."""
    first = sorted({trial.submission for trial in logs.trials})
    others = dict(zip(first, names, strict=False))
    trials = tuple(trial.renamed(others.get(trial.submission, trial.submission)) for trial in logs.trials)
    infos = {name: Info(framework="jax", authors="A. Person, B. Person, C. Person, D. Person") for name in names}
    found = Logs(trials, (), infos)
    scores = score_trials(trials, A100, "as-documented")
    published = tuple(sorted({trial.submission for trial in trials} - set(names))) if published else ()
    result = Result("logs", "self", found, scores, (), published)
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for table in shown(result):
        console.print(table)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 140])
@pytest.mark.parametrize("count", [1, 3])
def test_no_line_is_wider_than_the_terminal_and_no_border_is_lost(logs, width, count):
    text = printed(logs, NAMES[:count], width, published=True)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert all(line.endswith(("│", "┃")) for line in lines if line.startswith(("│", "┃")))
    assert sum(line.startswith("└") and line.endswith("┘") for line in lines) == 2
    cells = re.sub(r"\s", "", "".join(line.split("│")[2] for line in lines if line.count("│") == 6))
    assert all(name in cells for name in NAMES[:count])


def test_a_name_is_broken_after_its_parts(logs):
    text = printed(logs, NAMES, 80)
    column = [line.split("│")[2].strip() for line in text.splitlines() if line.count("│") == 6]
    pieces = [piece for piece in column if piece and NAMES[0].startswith(piece)]
    assert pieces[0].endswith("_")
    lost = [line.split("│")[5].strip() for line in text.splitlines() if line.count("│") == 6]
    broken = {piece for piece in lost if piece.endswith("_")}
    assert broken <= {"librispeech_", "imagenet_", "finewebedu_"} | {piece for piece in lost if " " in piece}


def test_all_of_a_name_stands_in_one_line_where_there_is_room(logs):
    text = printed(logs, NAMES, 140)
    assert all(name in text for name in NAMES)
    assert "A. Person, B. Person, " in text


def test_what_is_so_of_all_workloads_is_said_once():
    found = synthetic_logs.result(
        V05, submissions=30, studies=3, numbers=1, rows=12, names=synthetic_logs.FORTY_LETTERS
    )
    console = Console(file=io.StringIO(), width=80, highlight=False)
    console.print(leaderboard(found))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    text = re.sub(r"\s+", " ", " ".join(line.split("│")[5] for line in lines if line.count("│") == 6))
    assert text.count("by 3 of 5 studies: all 8") == 30
    assert len(lines) < 30 * 10
