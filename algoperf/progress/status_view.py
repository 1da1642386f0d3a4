"""How the trials of an experiment stand, for people: what `algoperf status` prints and shows live."""

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from algoperf.progress import estimate
from algoperf.progress.estimate import Kind
from algoperf.progress.forecast import Forecast, forecast
from algoperf.progress.status import Reader, Stage, TrialStatus, failures
from algoperf.records.words import broken, counted, duration

# Seconds between two looks: a file system that a whole cluster shares is asked for some files of each trial.
_PERIOD = 3.0

_FEW = 30  # trials that are all listed without being asked for
_WIDE = 110  # characters, from which it is said who runs a trial and which job it waits for
_BAR = 8
_BESIDE_WORKLOADS = 57  # characters of the table of workloads without their names
_NARROWEST = 12  # characters for submissions
_STATE = "state, ends in"
_ORDER: tuple[Stage, ...] = ("running", "failed", "stopped", "done", "waiting")
_STYLES: dict[Stage, str] = {"running": "bold", "failed": "red", "stopped": "red", "waiting": "dim"}
_NOTABLE: tuple[Stage, ...] = ("running", "failed", "stopped")


def print_status(found: Sequence[TrialStatus], forecast: Forecast, console: Console, every_trial: bool = False) -> None:
    """A line for each trial; of many, a table of workloads and those that run, failed or stopped, or `every_trial`."""
    are_many = len(found) > _FEW
    listed = found if every_trial or not are_many else [entry for entry in found if entry.progress in _NOTABLE]
    if are_many:
        console.print(_workloads(found, forecast, console.width))
        console.print()
    if listed:
        console.print(_trials(listed, forecast, console.width, overflow="fold"))
        console.print()
    for line in (*_failed(listed), *_judged(found), *map(Text, again(found)), *_raced(found)):
        console.print(line, soft_wrap=True)
    console.print(in_all(found, forecast))
    if len(listed) < len(found):
        console.print("--all lists every trial", style="dim")


def live_view(found: Sequence[TrialStatus], forecast: Forecast, console: Console) -> RenderableType:
    """As much of it as the terminal is high: the workloads, then the trials, those that run first."""
    parts: list[RenderableType] = [in_all(found, forecast), Text()]
    height = console.height - 3
    kinds = {Kind.of(entry.trial) for entry in found}
    if (lines := len(kinds) + 3) < height:
        parts += [_workloads(found, forecast, console.width), Text()]
        height -= lines
    listed = _most_notable(found, height - 2)  # below their headings, above the number of the others
    parts.append(_trials(listed, forecast, console.width, overflow="ellipsis"))
    if hidden := len(found) - len(listed):
        parts.append(Text(f"and {hidden:,} more", "dim"))
    return Group(*parts)


def _most_notable(found: Sequence[TrialStatus], height: int) -> list[TrialStatus]:
    """As many as fit with the headings of their groups, in the order of the experiment."""
    ranked = sorted(range(len(found)), key=lambda index: (_ORDER.index(found[index].progress), _latest(found[index])))
    chosen: list[int] = []
    groups: set[Kind] = set()
    for index in ranked:
        groups.add(Kind.of(found[index].trial))
        if len(chosen) + 1 + len(groups) > height:  # each group has a heading of its own
            break
        chosen.append(index)
    return [found[index] for index in sorted(chosen)]


def _latest(entry: TrialStatus) -> float:
    """Those that have done something a short time ago first."""
    return -(entry.since or 0.0)


def in_all(found: Sequence[TrialStatus], forecast: Forecast) -> Text:
    """Two lines: `15 of 27 done, 1 running, 11 waiting`, and when all will have ended."""
    counts = Counter(entry.progress for entry in found)
    others = (f"{counts[name]:,} {name}" for name in _ORDER if name != "done" and counts[name])
    text = Text(", ".join((f"{counts['done']:,} of {len(found):,} done", *others)), "bold")
    if forecast.ends and forecast.is_running:
        text.append(f"\nends in {remaining(forecast.end)}, with {forecast.at_once:,} at once", "not bold")
    elif forecast.ends:
        text.append(f"\nnothing runs; what waits takes {remaining(forecast.end)}, one after the other", "not bold")
    return text


def remaining(seconds: float) -> str:
    """Of a forecast, which knows no better than `40 s`, `12 min`, `17 h`, `34 days`, and may be late."""
    for unit, size, until in (("s", 1, 90), ("min", 60, 90 * 60), ("h", 3_600, 72 * 3_600)):
        if seconds < until:
            return f"{seconds / size:.0f} {unit}" if seconds >= 1 else "moments"
    return f"{seconds / 86_400:,.0f} days"


def _workloads(found: Iterable[TrialStatus], forecast: Forecast, width: int) -> Table:
    """How many trials of each workload are where, and when the last one ends."""
    groups: dict[Kind, list[TrialStatus]] = {}
    for entry in found:
        groups.setdefault(Kind.of(entry.trial), []).append(entry)
    names = {kind: kind_name(kind, groups) for kind in groups}
    has_bar = max(map(len, names.values())) + _BESIDE_WORKLOADS <= width
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("workload", no_wrap=True)
    for heading in ("done", *([""] if has_bar else []), "reached", "running", "failed,\nstopped", "waiting", "ends in"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for kind, entries in groups.items():
        counts = Counter(entry.progress for entry in entries)
        reached = sum(map(_is_reached, entries))
        ends = [forecast.ends[entry.trial] for entry in entries if entry.trial in forecast.ends]
        table.add_row(
            names[kind],
            f"{counts['done']:,}/{len(entries):,}",
            *([_bar(counts["done"] / len(entries))] if has_bar else []),
            *_numbers(reached, counts["running"], counts["failed"] + counts["stopped"], counts["waiting"]),
            remaining(max(ends)) if ends and forecast.is_running else "",
        )
    return table


def kind_name(kind: Kind, kinds: Iterable[Kind]) -> str:
    """The workload, with the ruleset where there are several."""
    return kind.workload if len({other.ruleset for other in kinds}) == 1 else f"{kind.workload} ({kind.ruleset})"


def _numbers(*values: int) -> Iterator[str]:
    return (f"{value:,}" if value else "" for value in values)


def _trials(
    listed: Sequence[TrialStatus], forecast: Forecast, width: int, overflow: Literal["fold", "ellipsis"]
) -> RenderableType:
    """Grouped by workload, under a line with its target and its budget. overflow: what long names do."""
    is_wide = width >= _WIDE
    names = [trial_name(entry) for entry in listed]
    columns = [(_STATE, 21), ("step", 8), ("best", 8), ("to target", _BAR + 1)]
    columns += [("charged", 18), ("where", 30)] if is_wide else [("charged", 7)]
    room = width - sum(1 + size for _, size in columns)
    columns.insert(0, ("submission", max(_NARROWEST, min(2 + max(map(len, names), default=0), room))))
    names_width = columns[0][1] - 2 if overflow == "fold" else max(map(len, names), default=0)
    kinds = {Kind.of(entry.trial) for entry in listed}
    parts: list[RenderableType] = [_of_widths(columns, overflow, show_header=True)]
    for kind, entries in itertools.groupby(listed, lambda entry: Kind.of(entry.trial)):
        group = list(entries)
        parts.append(_heading(kind_name(kind, kinds), group[0]))
        table = _of_widths(columns, overflow, show_header=False)
        for entry in group:
            table.add_row(*_cells(entry, forecast, is_wide, names_width), style=_style(entry))
        parts.append(table)
    return Group(*parts)


def _of_widths(columns: Iterable[tuple[str, int]], overflow: Literal["fold", "ellipsis"], show_header: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim", show_header=show_header)
    for heading, width in columns:
        justify = "right" if heading in ("step", "best", "charged") else "left"
        table.add_column(heading, width=width, justify=justify, overflow=overflow, no_wrap=overflow == "ellipsis")
    return table


def _heading(name: str, entry: TrialStatus) -> Text:
    """`fastmri  ssim ≥ 0.7 within 2 h 8 min`, or `within 200 steps` where these end its trials."""
    return Text.assemble((name, "bold"), (f"  {goal(entry)}", "dim"), no_wrap=True, overflow="ellipsis")


def goal(entry: TrialStatus) -> str:
    """`ssim ≥ 0.7 within 2 h 8 min`."""
    end = duration(entry.budget) if entry.max_steps is None else counted(entry.max_steps, "step")
    return f"{target(entry)} within {end}"


def target(entry: TrialStatus) -> str:
    """`ssim ≥ 0.7`."""
    return f"{entry.target.metric} {'≤' if entry.target.goal == 'min' else '≥'} {entry.target.validation:g}"


def trial_name(entry: TrialStatus) -> str:
    """Submission, study and trial; workload and ruleset stand above it."""
    return f"{entry.trial.label} {entry.trial.study}/{entry.trial.trial}"


def _cells(entry: TrialStatus, forecast: Forecast, is_wide: bool, names_width: int) -> Iterator[RenderableType]:
    """names_width: what is longer is broken."""
    share = entry.share_of_way
    yield Text("\n".join(f"  {line}" for line in broken(trial_name(entry), names_width)))
    yield Text(state(entry, forecast))
    yield "" if entry.global_step is None else f"{entry.global_step:,}"
    yield "" if entry.best is None else f"{entry.best:.4g}"
    yield "" if share is None else _bar(share)
    used = entry.share_of_budget
    of_budget = "" if used is None else f"{used:.0%}"
    yield f"{duration(entry.charged)}, {of_budget}" if is_wide and of_budget else of_budget
    if is_wide:
        yield Text(entry.outcome if entry.progress in ("running", "waiting") else "")


def state(entry: TrialStatus, forecast: Forecast) -> str:
    """`reached`, `running, 2 h 5 min`, `failed`: how it is done, and until when it runs or waits."""
    if entry.progress == "done":
        return entry.outcome
    if not forecast.is_running or entry.trial not in forecast.ends:
        return entry.progress
    return f"{entry.progress}, {remaining(forecast.ends[entry.trial])}"


def _style(entry: TrialStatus) -> str:
    return "green" if _is_reached(entry) else _STYLES.get(entry.progress, "")


def _is_reached(entry: TrialStatus) -> bool:
    return entry.progress == "done" and entry.outcome == "reached"


def _bar(share: float) -> str:
    """A bar of _BAR characters, full only where nothing is missing."""
    filled = int(share * _BAR)
    return "█" * filled + "░" * (_BAR - filled)


def _failed(entries: Iterable[TrialStatus]) -> Iterator[Text]:
    """Which trials have failed or stopped, and why: two lines for each."""
    for entry in failures(entries):
        yield Text(f"{entry.progress}: {entry.trial.folder}", "red")
        if entry.outcome:
            yield Text(f"  {entry.outcome}")


def _judged(entries: Iterable[TrialStatus]) -> Iterator[Text]:
    """What the referee refused, and what it left to people."""
    for entry in entries:
        if entry.refused:
            yield Text(f"refused: {entry.trial.folder}", "red")
            yield Text(f"  {entry.refused}")
        if entry.flags:
            rules = dict.fromkeys(str(flag.get("rule")) for flag in entry.flags if isinstance(flag, dict))
            yield Text(f"flagged: {entry.trial.folder}: {', '.join(rules)} (result.json)")


def _raced(entries: Iterable[TrialStatus]) -> Iterator[Text]:
    """Which trials racing has ended, and what their budgets would have allowed them."""
    ended = [entry for entry in entries if entry.progress == "done" and entry.outcome == "pruned"]
    if ended:
        unbegun = sum(not entry.global_step for entry in ended)
        left = sum(max(0.0, estimate.facts(Kind.of(entry.trial)).budget - (entry.charged or 0.0)) for entry in ended)
        before = f", {unbegun:,} of them before they began" if unbegun else ""
        yield Text(f"racing ended {len(ended):,} trials{before}: up to {duration(left)} of charged time given back")


def again(entries: Iterable[TrialStatus]) -> Iterator[str]:
    """Which trials are run again, and why: a line for each submission and reason."""
    counts = Counter((entry.trial.label, entry.again) for entry in entries if entry.again)
    for (label, why), count in counts.items():
        yield f"again: {count:,} of {label}: what there is, is of {why}"


def print_failures(found: Sequence[TrialStatus]) -> None:
    """Says on stderr which trials have failed or stopped, why, and what to do; nothing where none has."""
    failed = failures(found)
    if not failed:
        return
    missing = sum(entry.progress != "done" for entry in found)
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    for line in _failed(failed):
        console.print(line)
    console.print(
        f"{len(failed):,} of {len(found):,} trials have failed or stopped and {missing:,} have no result: nothing is "
        "made of them. The same command goes on with exactly these, from their checkpoints; `--config partial=true` "
        "scores the trials that are done, and says so."
    )


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
