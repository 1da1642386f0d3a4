"""What `algoperf plan` prints."""

from collections.abc import Callable, Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from algoperf.benchmark.protocol import load_protocol
from algoperf.progress.estimate import SAVED_A_SECOND, SET_UP, Estimate
from algoperf.progress.outlook import Outlook
from algoperf.records.words import counted, duration

_MINUTES_BELOW = 3.0  # hours in all, below which minutes are shown
_WHOLE_FROM = 1_000.0  # hours in all, from which only whole ones are shown
_POWERS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def print_outlook(outlook: Outlook, where: str, console: Console) -> None:
    """where: the config's path."""
    trials = sum(row.trials for row in outlook.estimates)
    console.print(
        Text.assemble(
            (where, "bold"),
            f": {outlook.config.protocol}, {counted(trials, 'trial')}, accelerator {outlook.config.accelerator}",
        )
    )
    console.print()
    console.print(_times(outlook))
    console.print()
    console.print(_disk(outlook))
    console.print()
    console.print(_wall_clock(outlook), markup=False)
    for line in (*_racing(outlook), *outlook.again, *outlook.unfit):
        console.print(line, markup=False, soft_wrap=True)
    console.print()
    notes = Table.grid("", "", padding=(0, 2, 0, 0))
    for word, meaning in _notes(outlook):
        notes.add_row(Text(word, "dim"), Text(meaning, "dim"))
    console.print(notes)


def _times(outlook: Outlook) -> Table:
    """One row for each workload: trials, and accelerator time at most, expected, taken and left."""
    rows = outlook.estimates
    most = outlook.hours(sum(row.at_most for row in rows))
    minutes = most < _MINUTES_BELOW
    digits = 0 if most >= _WHOLE_FROM else 1
    unit = f"{'node' if outlook.accelerators is None else 'accelerator'}-{'minutes' if minutes else 'hours'}"

    def amount(seconds: float) -> str:
        return f"{outlook.hours(seconds) * (60 if minutes else 1):,.{digits}f}"

    is_begun = any(row.done for row in rows)
    table = _table(unit, padding=0 if is_begun else 1)  # so that three more columns fit into 80 characters
    headings = ("trials", "reach", "at most", "expected", "free")
    for heading in (*headings, "took", "ratio", "left") if is_begun else headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(_name(outlook, row), *_cells([row], is_begun, amount))
    table.add_section()
    table.add_row("in all", *_cells(rows, is_begun, amount), style="bold")
    return table


def _table(title: str, padding: int) -> Table:
    """With a column for the workloads. padding: characters after each column, beside one."""
    table = Table(title=title, title_justify="left", title_style="italic", box=box.SIMPLE_HEAD, pad_edge=False)
    table.padding = (0, padding, 0, 0)
    table.add_column("workload", overflow="fold")
    return table


def _name(outlook: Outlook, row: Estimate) -> str:
    return row.kind.workload if len(outlook.config.rulesets) == 1 else f"{row.kind.workload} ({row.kind.ruleset})"


def _cells(rows: Sequence[Estimate], is_begun: bool, amount: Callable[[float], str]) -> list[str]:
    """Of these rows together."""

    def total(name: str) -> float:
        return sum(getattr(row, name) for row in rows)

    known = [row for row in rows if row.reached is not None]
    reached = sum(row.trials * row.reached for row in known) / sum(row.trials for row in known) if known else None
    done, trials = total("done"), total("trials")
    cells = [
        f"{done:,}/{trials:,}" if is_begun else f"{trials:,}",
        "?" if reached is None else f"{reached:.0%}",
        amount(total("at_most")),
        amount(total("expected")),
        f"{1 - total('charged') / total('expected'):.0%}",
    ]
    if not is_begun:
        return cells
    took = [amount(total("took")), f"{total('took') / total('expected_of_done'):.0%}"] if done else ["", ""]
    return [*cells, *took, amount(total("left"))]


def _disk(outlook: Outlook) -> Table:
    table = _table("disk", padding=1)
    table.add_column("dataset")
    for heading in ("data", "checkpoints", "results"):
        table.add_column(heading, justify="right", no_wrap=True)
    stores = {store.dataset: store for store in outlook.stores}
    for row, disk in zip(outlook.estimates, outlook.disks, strict=True):
        store = stores.pop(disk.dataset, None)  # where it is needed first
        data = "″" if store is None else f"{_bytes(store.size)}{'' if store.is_prepared else ' *'}"
        table.add_row(_name(outlook, row), disk.dataset, data, _bytes(disk.checkpoints), _bytes(disk.results))
    table.add_section()
    data = _bytes(sum(store.size for store in outlook.stores))
    results = _bytes(sum(disk.results for disk in outlook.disks))
    table.add_row("in all", "", data, _bytes(outlook.checkpoints), results, style="bold")
    return table


def _bytes(size: float) -> str:
    for power, unit in _POWERS:
        if size >= power:
            return f"{size / power:.3g} {unit}"
    return f"{size:.0f} B"


def _wall_clock(outlook: Outlook) -> str:
    clock = outlook.wall_clock
    at_once = outlook.nodes // outlook.nodes_of_a_trial
    is_begun, is_done = any(row.done for row in outlook.estimates), clock.left == 0
    left = " All are done." if is_done else f" {duration(clock.left)} of it left." if is_begun else ""
    return (
        f"Wall clock on {_count(outlook.nodes, 'node')}, {_count(at_once, 'trial')} at once: "
        f"{duration(clock.expected)} expected, "
        f"{duration(clock.at_most)} at most.{left}"
    )


def _racing(outlook: Outlook) -> Iterator[str]:
    """A line for each ruleset: what racing is expected to save."""
    config = outlook.config
    if config.racing == "none" or config.is_of_targets:
        return
    for ruleset in config.rulesets:
        saved = outlook.saved_by_racing.get(ruleset)
        expected = "nobody has replayed it" if saved is None else f"{saved:.0%} less charged time expected"
        yield f"Racing ({config.racing}, {config.racing_order}), {ruleset} tuning: {expected}."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _notes(outlook: Outlook) -> Iterator[tuple[str, str]]:
    """What each number means and rests on."""
    if outlook.accelerators is None:
        yield "node", "the machine that a trial runs on; cluster.yaml does not say how many accelerators it has"
    else:
        yield "accelerators", f"{outlook.accelerators} of each trial, for as long as it runs"
    scale = load_protocol(outlook.config.protocol).scale
    yield "at most", "no trial reaches its target"
    if not outlook.config.is_of_targets:
        took = _elsewhere(outlook)
        yield "expected", f"what {took}; reach: how many of those reached the target in time"
    assumed = f"; set-up is taken to be {duration(SET_UP[scale])}, saving {SAVED_A_SECOND / 1e9:g} GB a second"
    if rehearsed := [row.kind.workload for row in outlook.estimates if row.measured is not None]:
        what = "all workloads" if len(rehearsed) == len(outlook.estimates) else ", ".join(dict.fromkeys(rehearsed))
        yield "rehearsed", f"set-up and evaluations of {what} are what the dress rehearsal has measured"
    yield (
        "free",
        "the share of the expected time that submissions do not pay for: evaluating, saving, set-up"
        f"{assumed if scale == 'full' else ''}",
    )
    if outlook.config.is_of_targets:
        yield "?", "a trial that makes a target has none to reach; expected is as at most"
    if any(row.done for row in outlook.estimates):
        yield "took", "what finished trials really took, and its ratio to what was expected of them"
        yield "left", "what the others are expected to take, now that these have finished"
    yield "checkpoints", "the most that one trial's take while it runs, with two optimizer states; in all: at once"
    if not all(store.is_prepared for store in outlook.stores):
        yield "*", "not prepared yet; `algoperf data prepare` does it"


def _elsewhere(outlook: Outlook) -> str:
    """Whose times are expected."""
    if load_protocol(outlook.config.protocol).scale == "mini":
        return "trials on two CPU cores took"
    if outlook.config.protocol == "v0.6-a100" and outlook.config.rulesets == ["self"]:
        return "published trials of v0.6-a100 took on 4 A100"
    return "published trials of v0.5 took on 8 V100, and on 4 A100 where v0.5 has none"
