"""Tables for a paper: what the leaderboard says, in Markdown and in LaTeX, whatever names are made of."""

import re
import string

from hypothesis import given
from hypothesis import strategies as st

from algoperf.benchmark.protocol import load_protocol
from scoring.logs.trials import Logs
from scoring.result import Result
from scoring.rules.score import score_trials
from scoring.tables.paper import PaperTable, latex, markdown, paper_tables
from tests.support.scoring_logs import PUBLISHED, V05


def published() -> list[PaperTable]:
    scores = score_trials(PUBLISHED, V05, "as-documented")
    return paper_tables(Result("logs", "external", Logs(PUBLISHED, ()), scores))


def test_what_a_paper_needs_is_there():
    made = {table.name: table for table in published()}
    assert list(made) == ["leaderboard", "times", "heldout", "speedups", "rules"]
    assert made["leaderboard"].rows[0][:2] == ("shampoo_submission", "pytorch")
    assert "0.7785" in made["leaderboard"].rows[0]
    assert {"over 4x", "held-out missed", "not reached"} <= {word for line in made["times"].rows for word in line}


def test_markdown_has_a_bar_more_than_columns_in_each_line():
    for table in published():
        lines = [line for line in markdown([table]).splitlines() if line.startswith("|")]
        assert len(lines) == 2 + len(table.rows)
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {1 + len(table.header)}


def test_latex_has_an_ampersand_less_than_columns_in_each_row():
    for table in published():
        rows = [line for line in latex([table]).splitlines() if line.endswith(r"\\")]
        assert len(rows) == 1 + len(table.rows)
        assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {len(table.header) - 1}


@given(st.text(string.printable.replace("\n", "").replace("\r", "").replace("\x0b", "").replace("\x0c", "")))
def test_no_name_is_a_command(name: str):
    table = PaperTable("t", name, ("a", "b"), [(name, "1")])
    shown = latex([table])
    plain = re.sub(r"\\text(backslash|asciitilde|asciicircum|less|greater)\{\}|\\[&%$#_{}]", "", shown)
    known = r"\\(begin|end)\{(table|tabular)\}|\\(centering|toprule|midrule|bottomrule|caption|label)|\\\\"
    assert not re.search(r"[\\%$#_^~]", re.sub(known, "", plain))
    (line,) = (line for line in markdown([table]).splitlines() if line.endswith("| 1 |"))
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 3


def test_the_protocol_without_held_outs_has_no_table_of_them():
    protocol = load_protocol("v0.6")
    trials = [trial for trial in PUBLISHED if trial.workload in protocol.workloads]
    scores = score_trials(trials, protocol, "as-documented")
    names = [table.name for table in paper_tables(Result("logs", "external", Logs(tuple(trials), ()), scores))]
    assert "heldout" not in names
