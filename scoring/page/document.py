"""A page as one file that needs nothing but itself: its sections, its style, its script, and what draws its pictures.

The pictures are drawn by BokehJS, whose files lie in bokehjs/, as Bokeh's Python package ships them: that package and
what only it needs are a sixth of an install, and nothing else of them would be used.
"""

import base64
import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from importlib.resources import files

from scoring.page.markup import attribute, text
from scoring.tables.plots import LINE_STYLES, PALETTE

_BOKEHJS = ("bokehjs/bokeh.min.js", "bokehjs/bokeh-api.min.js")  # its core, and what puts a figure together
_OWN = ("report.js", "plots.js", "curves.js")


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a page. name: of its anchor; link: what the list of sections calls it; content: markup."""

    name: str
    link: str
    content: str


def document(title: str, head: str, sections: Iterable[Section], foot: str = "", refresh: int | None = None) -> str:
    """The whole file. head, foot: markup. refresh: seconds after which a browser reads the file again, until a person
    stops that.
    """
    shown = [section for section in sections if section.content]
    links = "".join(f'<a href="#{section.name}">{text(section.link)}</a>' for section in shown)
    body = "\n".join(section.content for section in shown)
    script = _script('class="figure"' in body)
    # What a browser may do with the page: show it and run this very script. A name from a log can do neither.
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; script-src 'sha256-{_digest(script)}'"
    )
    told = f' data-refresh="{refresh}"' if refresh else ""
    again = f'<noscript><meta http-equiv="refresh" content="{refresh}"></noscript>\n' if refresh else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n{again}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{attribute(title)}</title>\n<style>\n{_palette()}{_asset('report.css')}</style>\n</head>\n"
        f"<body{told}>\n"
        f'<a class="skip" href="#{shown[0].name if shown else ""}">Skip to the results</a>\n'
        f'<header>\n{head}\n</header>\n<nav aria-label="Sections">{links}</nav>\n<main>\n{body}\n</main>\n'
        f"<footer><p>Made by algoperf-snakemake {text(version('algoperf-snakemake'))}. {foot}</p></footer>\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _script(draws: bool) -> str:
    """What the page runs. draws: whether it has pictures."""
    library = map(_asset, _BOKEHJS) if draws else ()
    styles = f"const COLORS = {len(PALETTE)}, DASHES = {len(LINE_STYLES)};"
    own = "\n".join((styles, *map(_asset, _OWN)))
    # In a script element nothing may look like its end or like a comment; in JavaScript's strings both are the same.
    whole = "\n".join((*library, f'(() => {{\n"use strict";\n{own}\n}})();'))
    return whole.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _palette() -> str:
    """The classes of `markup.style_of`: the colours and dashes of the static picture."""
    colors = "".join(f".c{place} {{ --c: {color}; }}\n" for place, color in enumerate(PALETTE))
    dashes = "".join(
        f".d{place} .line, .line.d{place} {{ stroke-dasharray: {' '.join(f'{part:g}' for part in dash)}; }}\n"
        for place, dash in enumerate(dash_patterns())
        if dash
    )
    return colors + dashes


def dash_patterns() -> list[Sequence[float]]:
    """Of each line style the lengths of its dashes and gaps in pixels; empty: a solid line."""
    return [() if isinstance(style, str) else [2 * part for part in style[1]] for style in LINE_STYLES]


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
