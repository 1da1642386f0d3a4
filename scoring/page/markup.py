"""The pieces of a page. Texts are escaped here and nowhere else: no section makes markup of what logs say."""

import base64
import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from scoring.result import Result
from scoring.tables.plots import LINE_STYLES, PALETTE
from scoring.tables.tables import CsvTable


@dataclasses.dataclass(frozen=True)
class Context:
    """What every section is made of. tables: by name. folder: of the own logs, from where the page lies; or empty."""

    result: Result
    tables: Mapping[str, CsvTable]
    folder: str = ""

    @property
    def submissions(self) -> list[str]:
        """In the order of the standings, by which they have their colours."""
        return [standing.submission for standing in self.result.scores.standings]


def text(words: object) -> str:
    """Escaped; a long name may break after its underscores."""
    return escape(str(words)).replace("_", "_<wbr>")


def attribute(words: object) -> str:
    """Escaped, for where no markup may stand at all: in attributes, titles, options and pictures."""
    return escape(str(words), quote=True)


def style_of(place: int) -> str:
    """The classes of a submission's colour and dashes: colours first, dashes where they run out."""
    dashes, color = divmod(place, len(PALETTE))
    return f"c{color} d{dashes % len(LINE_STYLES)}"


def swatch(place: int) -> str:
    """A short piece of a submission's line."""
    return (
        f'<svg class="swatch" viewBox="0 0 26 10" aria-hidden="true">'
        f'<line class="line {style_of(place)}" x1="0" y1="5" x2="26" y2="5"/></svg>'
    )


def name_cell(place: int, submission: str, under: str = "") -> str:
    """A row's head that selects its submission wherever it is drawn. under: what is said below the name."""
    small = f"<small>{text(under)}</small>" if under else ""
    return (
        f'<th scope="row" class="name"><button type="button" class="pick" aria-pressed="false" data-s="{place}">'
        f"{swatch(place)}<span>{text(submission)}</span></button>{small}</th>"
    )


def cell(words: object, style: str = "", under: str = "", tag: str = "td") -> str:
    kind = f' class="{style}"' if style else ""
    return f"<{tag}{kind}>{text(words)}{f'<small>{text(under)}</small>' if under else ''}</{tag}>"


def fill(style: str, share: float) -> str:
    """The part of a track that is full, up to 1; of nothing, nothing."""
    return f'<div class="fill {style}" style="width:{100 * share:.2f}%"></div>' if share > 0 else ""


def curve_cell(words: str, workload: str, place: int, style: str = "", under: str = "") -> str:
    """A cell that leads to the curves of its submission on its workload."""
    link = (
        f'<a href="#curves" class="to-curve" data-workload="{attribute(workload)}" data-s="{place}">{text(words)}</a>'
    )
    return f'<td class="{style}">{link}{f"<small>{text(under)}</small>" if under else ""}</td>'


def table(
    header: Sequence[str],
    rows: Iterable[str],
    under: Sequence[str] = (),
    style: str = "",
    caption: str = "",
    label: str = "",
) -> str:
    """header: the columns' names, none of them empty. rows: each a `tr` element. under: what stands below the names.

    caption: stands above the table; label: its name for those who hear the page, where it has no caption. What is wider
    than the window scrolls sideways, and says so.
    """
    facts = under or [""] * len(header)
    names = "".join(
        f'<th scope="col">{text(name)}{f"<small>{text(fact)}</small>" if fact else ""}</th>'
        for name, fact in zip(header, facts, strict=True)
    )
    body = "\n".join(rows)
    title = f"<caption><span>{text(caption)}</span></caption>" if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{attribute(caption or label or header[0])}">'
        f'<table class="{style}">{title}\n<thead><tr>{names}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
        '<p class="more" aria-hidden="true">The table goes on to the right →</p>'
    )


def row(cells: Iterable[str], place: int | None = None) -> str:
    """place: of the submission that the row is about."""
    about = "" if place is None else f' data-row="{place}"'
    return f"<tr{about}>{''.join(cells)}</tr>"


def folded(summary: str, body: str) -> str:
    """What is secondary: there, but to be opened."""
    return f"<details><summary>{text(summary)}</summary>\n{body}\n</details>"


def figure(name: str, label: str, content: Mapping[str, Any], picture: bytes | None = None) -> str:
    """A picture that `plots.js` draws.

    picture: an SVG that stands in its place on paper, and without script; without either a sentence says so.

    label: what it shows, for those who hear the page. content, all in the units of its axes:
    x, y: each {"label", "range": [from, to], "log": bool, "ticks": [[place, name], ...]}, of which only the label has
    to be there. lines: [{"s": place of its submission, "name", "x": [...], "y": [...], "step": whether it goes up and
    down only, "low", "high": a band around it, "band": where these are, if not at x, "marks": indices of points that
    stand out, "dots": whether all points are shown, "solid": without dashes, "tips": what a pointer is told at each}].
    guides: [{"y" or "x": where a line runs across, "label"}]. words: [{"x", "y", "text"}], right of their
    places. height: pixels.
    """
    if picture is None:
        words = f"{text(label)}: this page's script, which is off, draws them."
        still = f'<noscript><p class="missing">{words}</p></noscript>'
    else:
        still = f'<img class="still" alt="{attribute(label)}" src="{svg_link(picture)}">'
    return (
        f'<div>{still}<div class="figure" id="{name}" role="group" aria-label="{attribute(label)}" '
        f'style="min-height:{content.get("height", 420)}px"></div>{embedded(f"{name}-data", content)}</div>'
    )


def section(
    name: str, title: str, lead: str, body: str, sources: Sequence[CsvTable], note: str = "", reading: str = ""
) -> str:
    """A part of the page with a link to it, and by which functions and in which files its numbers are to be found.

    lead, body, note, reading: markup. lead: one sentence. reading: how the body is to be read, below it. sources: the
    tables that the section shows. note: what is to be said of others.
    """
    files = [
        f'<a download="{attribute(source.name)}" href="{data_link(source.csv())}">{text(source.name)}</a> by '
        f"<code>{text(source.made_by)}</code>"
        for source in sources
    ]
    parts = "; ".join((*files, *((note,) if note else ())))
    origin = f'<p class="source">Numbers: {parts}.</p>' if parts else ""
    how = f'<p class="reading">{reading}</p>\n' if reading else ""
    return (
        f'<section id="{name}">\n<h2><a href="#{name}">{text(title)}</a></h2>\n<p class="lead">{lead}</p>\n'
        f"{body}\n{how}{origin}\n</section>"
    )


# The largest table is in the page once.
EACH_TRIAL = '<a href="#curves">trials.csv</a> has each trial'


def data_link(data: bytes, kind: str = "csv") -> str:
    return f"data:text/{kind};charset=utf-8;base64,{base64.b64encode(data).decode('ascii')}"


def svg_link(data: bytes) -> str:
    """For images alone, in which a browser runs nothing."""
    return f"data:image/svg+xml;base64,{base64.b64encode(data).decode('ascii')}"


def embedded(name: str, content: Any) -> str:
    """JSON that a script on the page reads. Nothing in it can end its element or begin another."""
    compact = json.dumps(content, separators=(",", ":"), allow_nan=False)
    safe = compact.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f'<script type="application/json" id="{name}">{safe}</script>'


def duration(seconds: float) -> str:
    """Charged seconds as a table shows them; the unit stays with its number where a line breaks."""
    digits = 0 if seconds >= 100 else 1 if seconds >= 10 else 2
    return f"{seconds:,.{digits}f}\N{NO-BREAK SPACE}s"


def significant(value: float, digits: int) -> str:
    """As many digits as tell something, in full where a person reads them so: 41,180 and not 4.118e+04."""
    if value == 0 or not 1e-4 <= abs(value) < 1e9:
        return f"{value:.{digits}g}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    shown = f"{value:,.{places}f}"
    return shown.rstrip("0").removesuffix(".") if places else shown


def finite(number: float, digits: int = 6) -> float | None:
    """For JSON, which has no infinity and no NaN."""
    return round(number, digits) if math.isfinite(number) else None
