"""`report.html`: the scoring on one page that needs nothing but itself, to be read without its script, too."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files

from scoring.page import certainty, curves, leaderboard, origins, profile, speedups, spread, times
from scoring.page.markup import Context, attribute, text
from scoring.result import Result
from scoring.rules.studies import Study
from scoring.tables.plots import LINE_STYLES, PALETTE
from scoring.tables.tables import CsvTable

_READINGS = {
    "as-documented": "a study counts by its earliest hit, and the profile is integrated exactly",
    "as-published": "a study counts by the trial whose hit has the lowest row number, and the profile is integrated "
    "over 100 points, as on the published leaderboards",
}
_SECTIONS = {
    "leaderboard": ("Leaderboard", leaderboard.section),
    "profile": ("Profile", profile.section),
    "times": ("Times", times.section),
    "held-out": ("Held-out", times.held_out_section),
    "ranks": ("Ranks", certainty.ranks_section),
    "left-out": ("Left out", certainty.left_out_section),
    "speedups": ("Speed-ups", speedups.section),
    "budget": ("Budget", times.budget_section),
    "studies": ("Studies", spread.section),
    "curves": ("Curves", curves.section),
    "flags": ("Flags", origins.judged_section),
    "hardware": ("Hardware", origins.hardware_section),
    "software": ("Software", origins.software_section),
    "quality": ("Data quality", origins.quality_section),
}


def page(result: Result, studies: Mapping[tuple[str, str], Sequence[Study]], tables: Mapping[str, CsvTable]) -> str:
    """The whole document."""
    context = Context(result, studies, tables)
    sections = {name: made for name, (_, make) in _SECTIONS.items() if (made := make(context))}
    links = "".join(f'<a href="#{name}">{text(_SECTIONS[name][0])}</a>' for name in sections)
    title = f"{result.title} ({result.caveat})" if result.caveats else result.title
    style, script = _asset("report.css"), _asset("report.js") + "\n" + _asset("curves.js")
    # What a browser may do with the page: show it and run this very script. A name from a log can do neither.
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_digest(script)}'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{attribute(title)}</title>\n<style>\n{_palette()}{style}</style>\n</head>\n<body>\n"
        f"{_head(context)}\n<nav>{links}</nav>\n<main>\n" + "\n".join(sections.values()) + f"\n</main>\n{_foot()}\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _head(context: Context) -> str:
    result, protocol = context.result, context.result.scores.protocol
    trials = [t for t in result.logs.trials if t.workload in (*protocol.workloads, *protocol.held_out)]
    readable = sum(trial.readable for trial in trials)
    reading = result.scores.reading
    held_out = f" and {len(protocol.held_out)} held out" if protocol.held_out else ""
    facts = {
        "submissions": f"{len(context.submissions):,}",
        f"workloads{held_out}": f"{len(protocol.workloads):,}",
        "trials with evaluations": f"{readable:,}",
        "evaluations": f"{sum(trial.rows for trial in trials):,}",
    }
    caveats = "".join(f'<p class="caveat">{text(caveat)}</p>' for caveat in result.caveats)
    tiles = "".join(f"<div><b>{number}</b><span>{text(name)}</span></div>" for name, number in facts.items())
    return (
        f"<header>\n<h1>{text(result.title)}</h1>\n{caveats}"
        f"<p>How fast does each training algorithm bring each workload to its target? Logs: "
        f"<code>{text(result.source)}</code>. Reading <b>{text(reading)}</b>: {_READINGS[reading]}. Times are charged "
        f'seconds, evaluations left out.</p>\n<div class="tiles">{tiles}</div>\n</header>'
    )


def _foot() -> str:
    return (
        f"<footer><p>Made by <code>algoperf score</code> of algoperf-snakemake {text(version('algoperf-snakemake'))}. "
        "The rules: Dahl et al. 2023, <i>Benchmarking Neural Network Training Algorithms</i>, arXiv 2306.07179, "
        "section 4. All tables lie as csv beside this file, and are in it: the links below each section.</p></footer>"
    )


def _palette() -> str:
    """The classes of `markup.style_of`: the colours and dashes of the static picture."""
    colors = "".join(f".c{place} {{ --c: {color}; }}\n" for place, color in enumerate(PALETTE))
    dashes = "".join(
        f".d{place} .line, .line.d{place} {{ stroke-dasharray: {' '.join(f'{2 * part:g}' for part in style[1])}; }}\n"
        for place, style in enumerate(LINE_STYLES)
        if not isinstance(style, str)
    )
    return colors + dashes


def _asset(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
