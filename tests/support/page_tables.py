"""A page and the csv files beside it, read back: what is shown, and what it has to be equal to."""

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


class Tables(HTMLParser):
    """tables: (section, label, rows), each row the texts of its cells; what is small stands after a bar."""

    def __init__(self, page: str):
        super().__init__()
        self.section = self.label = ""
        self.tables: list[tuple[str, str, list[list[str]]]] = []
        self.words: list[tuple[str, str]] = []  # beside the tables: section, text
        self.is_cell = self.is_hidden = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "section":
            self.section = values["id"]
        if values.get("class") == "scroll":
            self.label = values["aria-label"]
        if tag == "table":
            self.tables.append((self.section, self.label, []))
        if tag == "tr":
            self.tables[-1][2].append([])
        if tag in ("td", "th"):
            self.tables[-1][2][-1].append("")
            self.is_cell = True
        if tag == "small" and self.is_cell:
            self.tables[-1][2][-1][-1] += "|"
        if tag == "br" and self.is_cell:
            self.tables[-1][2][-1][-1] += " "
        if tag in ("script", "style", "pre", "select", "code"):
            self.is_hidden = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.is_cell = False
        if tag in ("script", "style", "pre", "select", "code"):
            self.is_hidden = False
        if tag == "section":
            self.section = ""

    def handle_data(self, data):
        if self.is_cell:
            self.tables[-1][2][-1][-1] += data
        elif not self.is_hidden:
            self.words.append((self.section, data))

    def named(self, label: str) -> list[dict[str, str]]:
        """The rows of a table by the names of its columns, without what stands below these."""
        (rows,) = (rows for _, own, rows in self.tables if own == label)
        header = [name.partition("|")[0] for name in rows[0]]
        return [dict(zip(header, row, strict=True)) for row in rows[1:]]


def table(out: Path, name: str) -> list[dict[str, str]]:
    with (out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def by_cell(out: Path, name: str) -> dict[tuple[str, str], dict[str, str]]:
    return {(row["submission"], row["workload"]): row for row in table(out, name)}


def who(row: dict[str, str]) -> str:
    return row["submission"].partition("|")[0]


def close(shown: str, value: str | float) -> bool:
    """Whether a number that is shown is one of a csv, to its last shown digit."""
    digits = len(shown.partition(".")[2])
    return abs(float(shown.replace(",", "")) - float(value)) <= 0.5001 * 10**-digits


def numbers(words: str) -> list[str]:
    return NUMBER.findall(words)


def embedded(out: Path, name: str) -> Any:
    text = (out / "report.html").read_text("utf-8")
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', text)[1])
