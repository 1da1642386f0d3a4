"""How much faster each submission is than a reference, and than each other one."""

import math

from algoperf.records.words import counted
from scoring.certainty.uncertainty import Duels
from scoring.page.markup import Context, attribute, cell, embedded, folded, name_cell, row, table
from scoring.page.markup import section as as_section
from scoring.rules.comparison import Pair

_HEADER = ("official speed-up", "95 % interval", "capped", "where both reach", "in steps", "beats it")
_FACTS = (
    "all workloads, a miss is budget + 1 s",
    "",
    "all, a miss is 4x the fastest",
    "that many only",
    "where both reach",
    "of draws, in score",
)


def section(context: Context) -> str:
    """Empty where there is nobody to compare with."""
    if not context.result.pairs:
        return ""
    names = context.submissions
    pairs = {(pair.submission, pair.to): pair for pair in context.result.pairs}
    duels = context.result.uncertainties[0].duels
    told = [
        [_told(pairs.get((name, to)), duels, place, against) for place, name in enumerate(names)]
        for against, to in enumerate(names)
    ]
    reference = default_reference(names)
    rows = [
        row([name_cell(place, name), *(cell(words, "number") for words in told[reference][place])], place)
        for place, name in enumerate(names)
    ]
    options = "".join(
        f'<option value="{place}"{" selected" if place == reference else ""}>{attribute(name)}</option>'
        for place, name in enumerate(names)
    )
    body = (
        '<div class="controls"><label>Reference <select id="reference" data-now="'
        f'{reference}">{options}</select></label></div>'
        f'<div id="versus">{table(("submission", *_HEADER), rows, ("", *_FACTS), label="Speed-ups over the reference")}'
        f"</div>{embedded('versus-data', told)}{_all_pairs(context, pairs, duels)}"
    )
    return as_section(
        "speedups",
        "How much faster",
        "How many times as fast a submission is as the reference: geometric means of charged time.",
        body,
        [context.tables["time_ratios"], context.tables["steps_to_target"]],
        reading="Above 1 the submission is the faster. The official speed-up is over all workloads, what is missed "
        "counting as the budget and a second; the others answer other questions and have other names.",
        note="capped, where both reach and in steps: 1 / capped_time_ratio, time_ratio and step_ratio",
    )


def default_reference(names: list[str]) -> int:
    """The place of the baseline, or else of the first."""
    return next((place for place, name in enumerate(names) if "baseline" in name.lower()), 0)


def _told(pair: Pair | None, duels: Duels, row: int, column: int) -> list[str]:
    """What the table says of one submission against the reference; empty of the reference itself."""
    if pair is None:
        return ["1 (the reference)", *[""] * (len(_HEADER) - 1)]
    low, high = duels.budget[:, row, column]
    beats = duels.beats[row, column]
    return [
        f"{1 / pair.budget_ratio:.3f}x",
        "" if math.isnan(low) else f"{1 / high:.2f} to {1 / low:.2f}",
        f"{1 / pair.capped_ratio:.3f}x",
        f"{1 / pair.time_ratio:.3f}x of {pair.workloads}" if pair.workloads else "none",
        f"{1 / pair.step_ratio:.3f}x of {pair.step_workloads}" if pair.step_workloads else "none",
        "" if math.isnan(beats) else f"{100 * beats:.0f} %",
    ]


def _all_pairs(context: Context, pairs: dict[tuple[str, str], Pair], duels: Duels) -> str:
    names = context.submissions
    rows = [
        row(
            [
                name_cell(place, name, f"place {place + 1}"),
                *(
                    _cell(pairs.get((name, other)), *duels.budget[:, place, column])
                    for column, other in enumerate(names)
                ),
            ],
            place,
        )
        for place, name in enumerate(names)
    ]
    header = ("submission", *(str(place) for place in range(1, 1 + len(names))))
    caption = "The official speed-up of the row's submission over that of the place of the column, with its interval."
    return folded(
        f"All {counted(len(names) * (len(names) - 1) // 2, 'pair')}",
        table(header, rows, style="matrix speedups", caption=caption),
    )


def _cell(pair: Pair | None, low: float, high: float) -> str:
    """low, high: of the ratio of times, NaN where nothing was drawn."""
    if pair is None:
        return '<td class="self"></td>'
    faster = 1 / pair.budget_ratio
    # A factor of two, either way, is the full colour.
    strength = min(1, abs(math.log2(faster)))
    interval = "" if math.isnan(low) else f"<small>{1 / high:.2f} to {1 / low:.2f}</small>"
    color = "faster" if faster >= 1 else "slower"
    return f'<td class="number heat {color}" style="--p:{40 * strength:.0f}%">{faster:.2f}x{interval}</td>'
