"""What a terminal shows: the leaderboard, and how own submissions compare with published ones."""

import dataclasses
import io
import math
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from algoperf.records.words import broken
from scoring.logs.info import Info
from scoring.result import Result
from scoring.rules.score import Standing
from scoring.sides import Sides

_WIDTH = 100  # columns of a plain-text leaderboard
_BELOW = 30  # columns for which what stands below a name may widen the table


@dataclasses.dataclass(frozen=True)
class _Names:
    """A cell of names, which are broken after their underscores where one does not fit, and within a part at last.

    below: a line that is dim, and cut with a cue where it is longer.
    """

    text: str
    below: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("\n".join(broken(self.text, options.max_width)), overflow="fold")
        if self.below:
            yield Text(self.below, "dim", overflow="ellipsis", no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        least = max(map(len, broken(self.text, 1)))
        most = max(len(self.text), min(len(self.below), _BELOW))
        return Measurement(least, most).clamp(max_width=options.max_width)


def leaderboard(result: Result) -> Table:
    """Rank, submission, score, how many workloads count, and why the others are lost. Names are never markup.

    Below the score its interval, below the rank the probability of being first. Where there is nothing to resample
    over, the caption says so, and the title which leads are larger than what the clock can make.
    """
    names = result.scores.protocol.workloads
    posterior = result.uncertainties[0]
    noise = result.clock_noise.sentence if result.clock_noise else ""
    caveat = f"\n{result.caveat}" if result.caveats else ""
    title = Text.assemble(result.title, (caveat, "bold red"), f"\n{noise}" if noise else "")
    sure = bool(posterior.draws)
    below = "Below the score its interval, below the rank how likely it is to be first: " if sure else ""
    caption = f"{below}{posterior.note}"
    table = Table(title=title, title_justify="left", caption=Text(caption), caption_justify="left")
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("submission")
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("workloads", justify="right", no_wrap=True)
    table.add_column("lost")
    for standing, spread in zip(result.scores.standings, posterior.spreads, strict=True):
        lost: dict[str, list[str]] = {}
        for name in names:
            if reason := standing.cells[name].lost:
                lost.setdefault(reason, []).append(name)
        interval = "" if math.isnan(spread.low) else f"{spread.low:.2f}-{spread.high:.2f}"
        table.add_row(
            f"{standing.rank}\n{spread.p_rank[0]:.0%}" if sure else f"{standing.rank}",
            _Names(standing.submission, _said(result.infos.get(standing.submission))),
            f"{standing.score:.4f}\n{interval}" if sure else f"{standing.score:.4f}",
            f"{len(names) - sum(map(len, lost.values()))} of {len(names)}",
            _Names("; ".join(f"{what}: {', '.join(of)}" for what, of in (*lost.items(), *thin(result, standing)))),
            style="bold" if standing.rank == 1 else "",
        )
    return table


def _said(info: Info | None) -> str:
    """Framework and authors in one line."""
    return "" if info is None else ", ".join(part for part in (info.framework, info.authors) if part)


def thin(result: Result, standing: Standing) -> Iterator[tuple[str, list[str]]]:
    """`by 2 of 3 studies`, fewer than the protocol's, and the workloads for which they speak; of all, their number."""
    protocol = result.scores.protocol
    there = [name for name, cell in standing.cells.items() if cell.studies]
    for studies, names in standing.with_fewer_studies(protocol).items():
        is_all = len(names) == len(there) > 1
        yield f"by {studies} of {protocol.studies} studies", [f"all {len(names)}"] if is_all else names


def refused(result: Result) -> Iterator[Text]:
    """A line for each trial that broke a rule, one for all flags, and one for what racing has ended."""
    for trial in result.logs.trials:
        if trial.record.refused is not None:
            yield Text(f"refused: {trial.path}: {trial.record.refused}", "red")
    if result.racing:
        yield Text(result.racing)
    if flagged := sum(bool(trial.record.flags) for trial in result.logs.trials):
        have = "trial has" if flagged == 1 else "trials have"
        yield Text(f"{flagged:,} {have} flags to be judged: flags.csv")


def versus_published(result: Result) -> Table:
    """How much time, and how many steps, each own submission takes compared with each published one."""
    title = "Own submissions compared with the published: below 1 the own is faster"
    caption = (
        "Geometric means over the workloads that both reach; in brackets how many. Hardware does not change how many "
        "steps it takes; the batch size does."
    )
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    for heading in ("own", "published"):
        table.add_column(heading)
    for heading in ("time", "steps"):
        table.add_column(heading, justify="right", no_wrap=True)
    for own in result.own:
        table.add_section()
        for pair in result.pairs:
            if pair.submission == own and pair.to in result.published and pair.workloads:
                in_time = f"{pair.time_ratio:.3f} [{pair.workloads}]"
                in_steps = f"{pair.step_ratio:.3f} [{pair.step_workloads}]" if pair.step_workloads else ""
                table.add_row(_Names(own), _Names(pair.to), Text(in_time), Text(in_steps))
    return table


def shown(result: Result) -> list[Table | Text]:
    """What a terminal shows of a result."""
    return [leaderboard(result), *([versus_published(result)] if result.published else []), *refused(result)]


def leaderboard_text(result: Result) -> str:
    """The same as plain text."""
    text = io.StringIO()
    console = Console(file=text, width=_WIDTH, highlight=False)
    for table in shown(result):
        console.print(table)
    return text.getvalue()


def changes(sides: Sides) -> Table:
    """Two trees side by side: scores in the one field of both, and how much time B takes compared with A."""
    title = f"{sides.b.title}: A is {sides.a.source}, B is {sides.b.source}"
    caption = (
        "Scores are those in one field with all of both. Time: of B, as a multiple of A's; geometric means over the "
        "workloads that both reach, in brackets how many."
    )
    table = Table(title=Text(title), title_justify="left", caption=caption, caption_justify="left")
    table.add_column("submission")
    for heading in ("A", "B", "B better", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for change in sides.changes:
        better = "" if math.isnan(change.p_better) else f"{change.p_better:.0%}"
        pair = change.pair
        time = "" if pair is None or not pair.workloads else f"{pair.time_ratio:.3f} [{pair.workloads}]"
        scores = ("" if math.isnan(score) else f"{score:.4f}" for score in (change.together_a, change.together_b))
        table.add_row(_Names(change.submission), *scores, better, Text(time))
    return table
