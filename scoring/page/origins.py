"""The evidence: what was judged, machines, software, seeds, and what is wrong with the logs."""

import re
from collections import Counter

from algoperf.benchmark.registry import load_spec
from algoperf.records.words import counted
from scoring.page.markup import EACH_TRIAL, Context, cell, folded, row, table, text
from scoring.page.markup import section as as_section

_MOST_ROWS = 14  # of a table that is shown at once
_NUMBER = re.compile(r"[0-9][0-9,.]*")


def section(context: Context) -> str:
    """What was judged is open, all else folded where it is long."""
    parts = (_judged, _hardware, _software, _quality)
    body = "\n".join(part(context) for part in parts)
    return as_section(
        "evidence",
        "Evidence",
        "What the numbers rest on: verdicts and flags, machines and how they were doing, versions and seeds, and all "
        "that was odd, damaged or missing in the logs.",
        body,
        [
            context.tables[name]
            for name in ("flags", "hardware", "software", "data_quality")
            if context.tables[name].rows
        ],
        EACH_TRIAL,
    )


def _hardware(context: Context) -> str:
    made = context.tables["hardware"]
    if not made.rows:
        missing = "The logs do not say what they ran on: no result.json, no meta_data_0.json."
        return _part("Hardware", missing, "")
    rows = [row(cell(word, "number" if column > 1 else "") for column, word in enumerate(words)) for words in made.rows]
    words = (
        "Times compare on like machines only. How each machine was doing is taken at the beginning and at the end of a "
        "trial's last session; of the trials of a row, the worst is shown."
    )
    return _part("Hardware", words, _folded(table(made.header, rows, label="Hardware"), len(rows), "machines"))


def _part(title: str, words: str, body: str) -> str:
    return f"<h3>{text(title)}</h3>\n<p>{words}</p>\n{body}"


def _software(context: Context) -> str:
    """Protocol, versions, commits and seeds."""
    result, protocol = context.result, context.result.scores.protocol
    specs = [load_spec(name, protocol.scale) for name in protocol.workloads]
    facts = {
        "protocol": f"{protocol.name}: {counted(len(specs), 'workload')}, {len(protocol.held_out)} held out",
        "ruleset": result.ruleset,
        "studies": str(protocol.studies),
        "trials of a study": str(protocol.num_trials(result.ruleset)),
        "reading": result.scores.reading,
        "logs": result.source,
    }
    made = context.tables["software"]
    seeds = Counter(trial.record.seed for trial in result.logs.trials if trial.record.seed is not None)
    if seeds:
        repeated = sum(count - 1 for count in seeds.values())
        facts["seeds"] = f"{len(seeds):,} different ones in {counted(sum(seeds.values()), 'trial')}" + (
            f"; repeated: {repeated:,}" if repeated else ""
        )
    settings = [row([f'<th scope="row">{text(name)}</th>', cell(value)]) for name, value in facts.items()]
    rows = [row([cell(what), cell(version), cell(f"{count:,}", "number")]) for what, version, count in made.rows]
    versions = (
        _folded(table(made.header, rows), len(rows), "versions")
        if rows
        else '<p class="missing">The logs name no versions and no commits.</p>'
    )
    words = (
        "What was asked, and what the trials ran with. Each trial's seed, commit and hyperparameters stand in "
        "<code>trials.csv</code>."
    )
    asked = table(("what", "value"), settings, style="facts", label="What was asked")
    return _part("Protocol, versions and seeds", words, asked + versions)


def _judged(context: Context) -> str:
    """Nothing where the referee had nothing to say."""
    made = context.tables["flags"]
    if not made.rows:
        return ""
    body = _folded(table(made.header, [row(map(cell, words)) for words in made.rows]), len(made.rows), "notes")
    words = "A refused trial broke a rule of the benchmark and counts as a miss. A flag is what a person has to judge."
    return _part("Refused and flagged", words, body)


def _quality(context: Context) -> str:
    made = context.tables["data_quality"]
    kinds = Counter((_NUMBER.sub("…", finding.what), finding.done) for finding in context.result.logs.findings)
    summary = [
        row([cell(f"{count:,}", "number"), cell(what), cell(done)]) for (what, done), count in kinds.most_common(8)
    ]
    rows = [row(map(cell, words)) for words in made.rows]
    if not rows:
        body = '<p class="missing">Nothing is wrong with these logs, and nothing is missing.</p>'
    else:
        header = ("times", "the most frequent", "done")
        short = table(header, summary, label="The most frequent") if len(rows) > _MOST_ROWS else ""
        body = short + _folded(table(made.header, rows), len(rows), "findings")
    words = "Everything that was odd, damaged or missing in the logs, and what was made of it."
    return _part("Data quality", words, body)


def _folded(body: str, count: int, what: str) -> str:
    """As it is where it is short, to be opened where it is long."""
    return body if count <= _MOST_ROWS else folded(f"All {count:,} {what}", body)
