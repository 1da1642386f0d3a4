"""`report.html`: the scoring on one page that needs nothing but itself. All text that came from logs is escaped."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from algoperf.registry import load_spec
from scoring.result import Result
from scoring.score import Cell

_READINGS = {
    "as-documented": "a study counts by its earliest hit, and the profile is integrated exactly",
    "as-published": "a study counts by the trial whose hit has the lowest row number, and the profile is integrated "
    "over 100 points, as on the published leaderboards",
}
_STYLE = """
:root { --ink: #222; --grey: #666; --line: #e3e3e3; --lost: #faf1ec; --best: #0072b2; --caveat: #b23c00; }
body { font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink); background: #fff;
       max-width: 78rem; margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
p { max-width: 48rem; }
.grey, small { color: var(--grey); }
small { display: block; font-size: .75rem; font-weight: normal; line-height: 1.35; }
.scroll { overflow: auto; max-height: 90vh; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .35rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { position: sticky; top: 0; background: #fff; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.lost { background: var(--lost); }
.caveat { color: var(--caveat); font-weight: 600; margin: .3rem 0; }
.best { color: var(--best); font-weight: 600; }
.bar { display: inline-block; height: .7rem; background: var(--best); }
figure { margin: 1rem 0; }
figure svg { width: 100%; height: auto; max-width: 62rem; }
summary { cursor: pointer; }
"""


def page(result: Result, svg: str) -> str:
    """The whole document. svg: the profile's picture."""
    scores, logs = result.scores, result.logs
    protocol = scores.protocol
    title = f"{result.title} ({result.caveat})" if result.caveats else result.title
    readable = sum(trial.readable for trial in logs.trials)
    sections = [
        f"<h1>{escape(result.title)}</h1>",
        *(f'<p class="caveat">{escape(caveat)}</p>' for caveat in result.caveats),
        f'<p class="grey">{readable:,} trials with evaluations in <code>{escape(result.source)}</code>. '
        f"Reading <b>{escape(scores.reading)}</b>: {_READINGS[scores.reading]}.</p>",
        "<h2>Leaderboard</h2>",
        _leaderboard(result),
        "<h2>Performance profile</h2>",
        f'<figure role="img" aria-label="Performance profile of {len(scores.standings)} submissions">{_inline(svg)}'
        "<figcaption><small>For each submission, how many workloads reach their target within a multiple of the "
        "fastest submission's time. Curves that coincide are drawn side by side.</small></figcaption></figure>",
        "<h2>Time to target</h2>",
        "<p>Charged seconds, the median over the studies; below, the multiple of the fastest submission's. A shaded "
        "workload is lost, and says why.</p>",
        _times(result, protocol.workloads),
    ]
    if protocol.held_out:
        sections += [
            "<h2>Held-out workloads</h2>",
            "<p>They give no points; a submission that misses one loses its base workload.</p>",
            _times(result, protocol.held_out),
        ]
    sections += [
        "<h2>Data quality</h2>",
        f"<details><summary>{len(logs.findings):,} findings in the logs</summary>",
        _table(("path", "what", "done"), [map(_cell, (f.path, f.what, f.done)) for f in logs.findings]),
        "</details>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )


def _inline(svg: str) -> str:
    """The svg element alone, without the prologue that only a file of its own may have."""
    return svg[svg.index("<svg") :]


def _leaderboard(result: Result) -> str:
    names = result.scores.protocol.workloads
    rows = []
    for standing in result.scores.standings:
        kept = sum(not standing.cells[name].lost for name in names)
        rows.append(
            [
                _cell(str(standing.rank), "number"),
                _cell(standing.submission),
                _cell(f"{standing.score:.4f}", "number"),
                f'<td><span class="bar" style="width: {12 * standing.score:.2f}rem"></span></td>',
                _cell(f"{kept} of {len(names)}", "number"),
            ]
        )
    return _table(("rank", "submission", "score", "", "workloads"), rows)


def _times(result: Result, names: Sequence[str]) -> str:
    rows = [
        [_cell(standing.submission), *(_time(standing.cells[name]) for name in names)]
        for standing in result.scores.standings
    ]
    return _table(("", *names), rows, ("", *(_facts(result, name) for name in names)))


def _facts(result: Result, name: str) -> str:
    """A workload's target and budget, under its name."""
    protocol = result.scores.protocol
    spec = load_spec(name, protocol.scale)
    sign = "≤" if spec.target.goal == "min" else "≥"
    budget = protocol.max_runtime(spec, result.ruleset)
    return f"{spec.target.metric.replace('_', ' ')} {sign} {spec.target.validation:g}, within {budget:,.0f} s"


def _time(cell: Cell) -> str:
    seconds = f"{cell.time:,.0f} s" if cell.time >= 100 else f"{cell.time:.1f} s"
    if not cell.lost:
        return _cell(seconds, "number best" if cell.ratio == 1 else "number", f"{cell.ratio:.2f}x")
    own = f"own time {seconds}" if math.isfinite(cell.time) else ""
    return _cell(cell.lost, "lost", "; ".join(part for part in (cell.why, own) if part))


def _cell(text: str, style: str = "", under: str = "") -> str:
    style = f' class="{style}"' if style else ""
    return f"<td{style}>{_text(text)}{f'<small>{_text(under)}</small>' if under else ''}</td>"


def _text(text: str) -> str:
    """Escaped; a long name may break after its underscores."""
    return escape(text).replace("_", "_<wbr>")


def _table(header: Sequence[str], rows: Iterable[Iterable[str]], under: Sequence[str] = ()) -> str:
    """header: the columns' names. rows: cells, each a `td` element. under: what stands below the columns' names."""
    facts = under or [""] * len(header)
    names = "".join(
        f"<th>{_text(name)}<small>{_text(fact)}</small></th>" for name, fact in zip(header, facts, strict=True)
    )
    body = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return f'<div class="scroll"><table>\n<thead><tr>{names}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
