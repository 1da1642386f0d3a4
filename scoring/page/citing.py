"""How to cite, and the tables as a paper has them."""

from importlib.metadata import version

from algoperf.records.words import counted
from scoring.page.markup import Context, attribute, data_link, text
from scoring.page.markup import section as as_section
from scoring.tables.paper import latex, markdown, paper_tables

_BIBTEX = """@article{dahl2023algoperf,
  title   = {Benchmarking Neural Network Training Algorithms},
  author  = {Dahl, George E. and Schneider, Frank and Nado, Zachary and others},
  journal = {arXiv preprint arXiv:2306.07179},
  year    = {2023}
}
@software{algoperf_snakemake,
  author  = {{The maintainers}},
  title   = {AlgoPerf: Training Algorithms as a Snakemake workflow},
  version = {VERSION}
}"""


def section(context: Context) -> str:
    made = paper_tables(context.result)
    links = "; ".join(
        f'<a download="{name}" href="{data_link(content.encode("utf-8"), "plain")}">{name}</a> ({what})'
        for name, content, what in (
            ("tables.md", markdown(made), "Markdown"),
            ("tables.tex", latex(made), "LaTeX, with booktabs"),
        )
    )
    shown = _BIBTEX.replace("VERSION", version("algoperf-snakemake"))
    body = (
        f"<p>Tables for a paper: {links}.</p>\n<p>In words: {text(_words(context))}</p>\n"
        f'<pre tabindex="0" aria-label="BibTeX">{attribute(shown)}</pre>'
    )
    return as_section("cite", "How to cite", "What a paper has to say so that its numbers can be made again.", body, [])


def _words(context: Context) -> str:
    """What was done, in a sentence or two for a paper."""
    result, protocol = context.result, context.result.scores.protocol
    machines = [line[0] for line in context.tables["hardware"].rows]
    hardware = f", on {'; '.join(dict.fromkeys(machines))}" if machines else ""
    held_out = f" and {counted(len(protocol.held_out), 'held-out workload')}" if protocol.held_out else ""
    draws = result.uncertainties[0].draws
    intervals = (
        f" Intervals are of 95 % by {draws:,} draws of a hierarchical posterior over the studies." if draws else ""
    )
    caveats = f" Caveats: {result.caveat}." if result.caveats else ""
    return (
        f"AlgoPerf {protocol.name}, {result.ruleset} tuning: {counted(len(protocol.workloads), 'workload')}{held_out}, "
        f"{counted(protocol.studies, 'study')} of {counted(protocol.num_trials(result.ruleset), 'trial')}{hardware}; "
        "scored by "
        f"algoperf-snakemake {version('algoperf-snakemake')}, reading {result.scores.reading}.{intervals}{caveats}"
    )
