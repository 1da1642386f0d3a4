"""The figures that came with the program as tables in docs/fit.md; a test says where they are out of date.

Run: python docs/fit_table.py
"""

from pathlib import Path

from algoperf.fit import accelerators, ask, stored, table

PAGE = Path(__file__).with_name("fit.md")
_BEGIN, _END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def page() -> str:
    """docs/fit.md with the figures as they are."""
    before, _, rest = PAGE.read_text("utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}{tables()}{_END}{after}"


def tables() -> str:
    """Of each accelerator and submission: a caption, and a row for each workload and framework."""
    groups: dict[tuple[str, str], list] = {}
    for cell, figures in stored.stored().items():
        groups.setdefault((cell.accelerator, cell.submission), []).append(figures)
    order = sorted(
        groups, key=lambda group: (group[1] != ask.SUBMISSION, group[1], [*accelerators.known()].index(group[0]))
    )
    return "".join(_table(accelerator, groups[accelerator, submission]) for accelerator, submission in order)


def _table(accelerator: str, found: list) -> str:
    facts = accelerators.known()[accelerator]
    cell = found[0].cell
    made = sorted({f"{figures.made} ({figures.code})" for figures in found})
    caption = f"**{cell.count} x {accelerator}, {cell.submission}**, found {'; '.join(made)}:"
    rows = [list(table.HEADINGS), ["---"] * 3 + ["---:"] * (len(table.HEADINGS) - 3)]
    rows += [table.cells(figures, facts, found) for figures in found]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    remarks = [f"- {line}" for line in table.remarks(found)]
    return "\n".join([caption, "", *lines, "", *remarks, *[""] * bool(remarks), ""])


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
