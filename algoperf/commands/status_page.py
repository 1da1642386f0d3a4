"""`algoperf status --html`: where every trial is, as a page that a person leaves open.

A browser reads the file again every few seconds as long as something runs or waits: `--live`, or a timer of the
person's own, writes it anew.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from algoperf.benchmark.facts import InfrastructureError
from algoperf.progress.estimate import Kind
from algoperf.progress.forecast import Forecast, forecast
from algoperf.progress.status import Reader, Stage, TrialStatus
from algoperf.progress.status_view import again, goal, in_all, kind_name, remaining, target
from algoperf.records.atomic import write_atomically
from algoperf.records.words import counted, duration
from scoring.page.document import Section, document
from scoring.page.markup import cell, fill, row, section, table, text

PERIOD = 5  # seconds between two looks, and between two readings of the page
_OPEN: tuple[Stage, ...] = ("running", "waiting")


def write(reader: Reader, title: str, path: Path, live: bool, notes: Callable[[], Sequence[str]] = tuple) -> None:
    """Once, or, `live`, until nothing runs or waits any more, or Ctrl-C. notes: what else is to be said each time.

    Raises InfrastructureError where it cannot be written.
    """
    try:
        while True:
            now, found = time.time(), reader.read()
            seen = forecast(found, now)
            is_open = any(entry.progress in _OPEN for entry in found)
            _write(path, page(found, seen, title, now, PERIOD if is_open else None, notes()))
            if not live or not is_open:
                return
            time.sleep(PERIOD)
    except KeyboardInterrupt:
        return


def _write(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.encode("utf-8"))
    except OSError as error:
        raise InfrastructureError(f"the page {path} cannot be written: {error.strerror}.") from error


def page(
    found: Sequence[TrialStatus],
    seen: Forecast,
    title: str,
    now: float,
    refresh: int | None,
    notes: Sequence[str] = (),
) -> str:
    """The whole document. now: seconds since the epoch. refresh: seconds after which a browser reads it again."""
    groups: dict[Stage, list[TrialStatus]] = {}
    for entry in found:
        groups.setdefault(entry.progress, []).append(entry)
    unfinished = [*groups.get("failed", ()), *groups.get("stopped", ())]
    sections = (
        Section("running", "Running", _listed("running", "Running", groups.get("running", ()), _running(seen))),
        Section("failed", "Failed", _listed("failed", "Failed and stopped", unfinished, _failed)),
        Section("workloads", "Workloads", _workloads(found, seen)),
        Section("done", "Done", _listed("done", "Done", groups.get("done", ()), _done)),
        Section("waiting", "Waiting", _listed("waiting", "Waiting", groups.get("waiting", ()), _waiting(seen))),
    )
    counts, *end = in_all(found, seen).plain.split("\n")
    at = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    later = f" A browser reads this file again every {refresh} s." if refresh else " Nothing runs or waits any more."
    head = (
        f"<h1>{text(counts)}</h1>\n<p>{text(title)}{''.join(f'; {text(line)}' for line in end)}. As of {at}.{later}</p>"
        + "".join(f'<p class="caveat">{text(line)}</p>' for line in (*again(found), *notes))
    )
    return document(f"{counts} ({title})", head, sections, "By <code>algoperf status --html</code>.", refresh)


_LEADS = {
    "running": "Share of the budget, the best value against the target, and when it ends, as far as is forecast.",
    "failed": "Ended with an error of the machine or the data, or without a word; the same command goes on with them.",
    "done": "How each ended.",
    "waiting": "What has not begun, or waits to go on.",
}


def _listed(
    name: str, title: str, entries: Sequence[TrialStatus], cells: Callable[[TrialStatus], dict[str, str]]
) -> str:
    """Nothing where there is none. cells: column -> markup, the same columns for all."""
    if not entries:
        return ""
    made = [cells(entry) for entry in entries]
    rows = [row([_trial(entry), *one.values()]) for entry, one in zip(entries, made, strict=True)]
    title = f"{title}: {counted(len(entries), 'trial')}"
    return section(name, title, text(_LEADS[name]), table(("trial", *made[0]), rows, label=title), [])


def _trial(entry: TrialStatus) -> str:
    trial = entry.trial
    under = f"{trial.workload}, {trial.ruleset}, study {trial.study}, trial {trial.trial}"
    return f'<th scope="row" class="name">{text(trial.label)}<small>{text(under)}</small></th>'


def _running(seen: Forecast) -> Callable[[TrialStatus], dict[str, str]]:
    def cells(entry: TrialStatus) -> dict[str, str]:
        return {
            "ends in": cell(_ends(entry, seen), "number"),
            "used of the budget": _bar(entry.share_of_budget),
            "way to the target": _bar(entry.share_of_way),
            **_measured(entry),
            "where": cell(entry.outcome),
        }

    return cells


def _waiting(seen: Forecast) -> Callable[[TrialStatus], dict[str, str]]:
    def cells(entry: TrialStatus) -> dict[str, str]:
        return {"ends in": cell(_ends(entry, seen) if seen.is_running else "", "number"), "why": cell(entry.outcome)}

    return cells


def _done(entry: TrialStatus) -> dict[str, str]:
    rules = dict.fromkeys(str(flag.get("rule")) for flag in entry.flags if isinstance(flag, dict))
    judged = "; ".join(filter(None, (f"refused: {entry.refused}" if entry.refused else "", ", ".join(rules))))
    return {
        "ended": cell(entry.outcome),
        **_measured(entry),
        "refused, flagged": cell(judged),
    }


def _failed(entry: TrialStatus) -> dict[str, str]:
    return {"state": cell(entry.progress), "why, and where it says so": cell(entry.outcome), **_measured(entry)}


def _measured(entry: TrialStatus) -> dict[str, str]:
    step = "" if entry.global_step is None else f"{entry.global_step:,}"
    charged = "" if entry.charged is None else duration(entry.charged)
    best = "" if entry.best is None else f"{entry.best:.5g}"
    return {
        "charged": cell(charged, "number"),
        "step": cell(step, "number"),
        "best": cell(best, "number", target(entry).replace(" ", "\N{NO-BREAK SPACE}")),
    }


def _ends(entry: TrialStatus, seen: Forecast) -> str:
    return remaining(seen.ends[entry.trial]) if entry.trial in seen.ends else ""


def _bar(share: float | None) -> str:
    if share is None:
        return cell("")
    drawn = fill("c0", min(1.0, share))
    words = f"<small>{100 * share:.0f} %</small>"
    return f'<td class="bar-cell"><div class="track" aria-hidden="true">{drawn}</div>{words}</td>'


def _workloads(found: Iterable[TrialStatus], seen: Forecast) -> str:
    groups: dict[Kind, list[TrialStatus]] = {}
    for entry in found:
        groups.setdefault(Kind.of(entry.trial), []).append(entry)
    rows = [row(_workload(kind_name(kind, groups), entries, seen)) for kind, entries in groups.items()]
    header = ("workload", "done", "share", "reached", "running", "failed, stopped", "waiting", "ends in")
    return section(
        "workloads",
        "Workloads",
        "How many trials of each workload are where, and when the last of them ends.",
        table(header, rows, label="Workloads"),
        [],
    )


def _workload(name: str, entries: Sequence[TrialStatus], seen: Forecast) -> Iterator[str]:
    counts = Counter(entry.progress for entry in entries)
    reached = sum(entry.progress == "done" and entry.outcome == "reached" for entry in entries)
    ends = [seen.ends[entry.trial] for entry in entries if entry.trial in seen.ends]
    yield f'<th scope="row" class="name">{text(name)}<small>{text(goal(entries[0]))}</small></th>'
    yield cell(f"{counts['done']:,} of {len(entries):,}", "number")
    yield _bar(counts["done"] / len(entries))
    for number in (reached, counts["running"], counts["failed"] + counts["stopped"], counts["waiting"]):
        yield cell(f"{number:,}" if number else "", "number")
    yield cell(remaining(max(ends)) if ends and seen.is_running else "", "number")
