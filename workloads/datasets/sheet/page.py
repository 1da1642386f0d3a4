"""The page of a contact sheet: what the store is, its numbers beside the benchmark's, and examples of every split."""

import html
from collections.abc import Mapping

import numpy as np

from workloads.datasets.sheet.card import Card, Shown
from workloads.datasets.store import Manifest

EXAMPLES = 12  # of each split, evenly spread over it
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; color: #222; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; } th { text-align: left; padding-right: 1em; font-weight: normal; color: #666; }
td { text-align: right; padding: 0 .5em; font-variant-numeric: tabular-nums; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(15em, 1fr)); gap: 1em; align-items: start; }
.wide { grid-template-columns: 1fr; }
figure { margin: 0; border: 1px solid #ddd; border-radius: 6px; padding: .6em; overflow: auto; }
figcaption { color: #666; font-size: .85em; } figure p { margin: .3em 0; white-space: pre-wrap; }
img { max-width: 100%; image-rendering: pixelated; display: block; margin-bottom: .3em; } audio { width: 100%; }
svg { width: 100%; max-height: 18em; } line { stroke: #888; } circle { fill: #fff; }
text { font-size: .42px; text-anchor: middle; dominant-baseline: central; }
"""


def page(manifest: Manifest, counts: Mapping[str, tuple[int, int]], sources: Mapping[str, Shown], checked: str) -> str:
    """counts: split -> examples in the store, and what the benchmark reads of it. sources: split -> examples to show.
    checked: what was checked, in a sentence.
    """
    rows = "".join(
        f"<tr><th>{html.escape(split)}</th><td>{found:,}</td><td>{wanted:,}</td></tr>"
        for split, (found, wanted) in counts.items()
    )
    size = sum(file["bytes"] for part in manifest.parts for file in part.files.values())
    sections = "".join(_section(split, source) for split, source in sources.items())
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(manifest.dataset)}</title><style>{_STYLE}</style></head>
<body><h1>{html.escape(manifest.dataset)}</h1>
<p>{html.escape(manifest.description)} From {html.escape(manifest.source)}.
{len(manifest.parts):,} parts, {size / 1e9:,.2f} GB. {html.escape(checked)}</p>
<table><tr><th></th><td>in the store</td><td>in the benchmark</td></tr>{rows}</table>
{sections}</body></html>
"""


def _section(split: str, source: Shown) -> str:
    chosen = np.unique(np.linspace(0, len(source) - 1, EXAMPLES).round().astype(int)).tolist()
    cards = [source.show(number) for number in chosen]
    wide = " wide" if not any("<img" in part or "<svg" in part for part in cards[0].parts) else ""
    return f'<h2>{html.escape(split)}</h2><div class="cards{wide}">{"".join(map(_figure, cards))}</div>\n'


def _figure(card: Card) -> str:
    return f"<figure>{''.join(card.parts)}<figcaption>{html.escape(card.caption)}</figcaption></figure>"
