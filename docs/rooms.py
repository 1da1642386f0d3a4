"""The rooms of the code as it is, read from its imports: who imports whom, and a picture of it.

Run: python docs/rooms.py            writes docs/architecture.svg; a test says where it is out of date
"""

import ast
import functools
import html
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PICTURE = Path(__file__).with_name("architecture.svg")
_PACKAGES = ("algoperf", "scoring", "workloads", "submissions")
# Where one room stands for several folders that are alike.
_MODELS, _SPECS = "workloads/*/model_*", "workloads/*/spec"

# What a trial passes through: what it is there, and the file and name that make it so.
WAY = (
    ("a line of the config", "algoperf/experiment/config.py", "class SubmissionEntry"),
    ("a trial of the plan", "algoperf/experiment/plan.py", "def trials"),
    ("its hyperparameter point", "algoperf/submission/points.py", "def hyperparameter_points"),
    ("a job", "rules/train.smk", "algoperf trial"),
    ("all that it needs, checked", "algoperf/trial/setup.py", "def set_up"),
    ("a timed step", "algoperf/trial/train.py", "def train_step"),
    ("an evaluation", "algoperf/trial/evaluate.py", "class Evaluator"),
    ("a row on the disk", "algoperf/records/official_files.py", "class Table"),
    ("its result", "algoperf/trial/session.py", "def execute"),
    ("a row of the table of trials", "scoring/logs/read.py", "def read_logs"),
    ("its share in a score", "scoring/rules/score.py", "def score_trials"),
    ("the page", "scoring/page/__init__.py", "def page"),
)

# The columns of the picture; submissions stand beside the core.
_LANES = (("workloads",), ("algoperf", "submissions"), ("scoring",))
_COLOURS = {"algoperf": "#dbe9f6", "scoring": "#e5f2dd", "workloads": "#fbe8d3", "submissions": "#f3e3f3"}
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN, _LETTERS, _LINE = 116, 34, 12, 36, 20, 11, 17


def files() -> list[Path]:
    """The modules of all rooms; a submission's template is a submission."""
    return [
        path.relative_to(REPOSITORY)
        for package in _PACKAGES
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        if "template" not in path.parts
    ]


def room_of(path: Path) -> str:
    """The room of a module, by its folder: `algoperf/trial`; of a face that stands open, its own name."""
    first, *folders, name = path.parts
    if first == "submissions" or (not folders and name == "__init__.py"):
        return first
    if first == "workloads" and (not folders or folders[0] not in ("datasets", "layers", "metrics")):
        return _MODELS if name.startswith("model_") else _SPECS
    if not folders:
        return f"{first}/{path.stem}"
    return f"{first}/{folders[0]}"


@functools.cache
def imported(path: Path) -> frozenset[Path]:
    """The modules of this repository that a module imports, wherever in it."""
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse((REPOSITORY / path).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if found := _file(name):
                yield found


def _file(name: str) -> Path | None:
    """The file of a dotted name, whose last part may be a name in it; None for what is not of this repository."""
    if name.partition(".")[0] not in _PACKAGES:
        return None
    parts = name.split(".")
    for length in (len(parts), len(parts) - 1):
        place = Path(*parts[:length])
        for candidate in (place.with_suffix(".py"), place / "__init__.py"):
            if (REPOSITORY / candidate).is_file():
                return candidate
    return None


def arrows() -> dict[str, set[str]]:
    """Each room -> the rooms that it imports."""
    found: dict[str, set[str]] = {}
    for path in files():
        room = room_of(path)
        found.setdefault(room, set()).update(room_of(target) for target in imported(path))
    faces = {"algoperf", "scoring", "workloads", "algoperf/__main__"}
    return {room: targets - {room} - faces for room, targets in sorted(found.items()) if room not in faces}


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """Each room's floor: one above the highest that it stands on. Raises ValueError for a circle."""
    known: dict[str, int] = {}

    def floor(room: str, above: tuple[str, ...]) -> int:
        if room in above:
            raise ValueError(f"a circle of rooms: {' -> '.join((*above, room))}")
        if room not in known:
            known[room] = 1 + max((floor(target, (*above, room)) for target in graph[room]), default=-1)
        return known[room]

    for room in graph:
        floor(room, ())
    return known


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Without the arrows that follow from two others: what a picture needs."""

    def reachable(room: str) -> set[str]:
        return graph[room].union(*(reachable(target) for target in graph[room]))

    return {room: targets - set().union(*(reachable(target) for target in targets)) for room, targets in graph.items()}


def picture() -> str:
    """An SVG: a column for each package, a row for each floor, arrows to what a room stands on; the way of a trial."""
    graph = arrows()
    level = floors(graph)
    top = max(level.values())
    corner: dict[str, tuple[float, float]] = {}
    left = _MARGIN
    heads = []
    for lane in _LANES:
        rows: dict[int, list[str]] = {}
        for room in sorted(graph):
            if room.partition("/")[0] in lane:
                rows.setdefault(top - level[room], []).append(room)
        widest = max(map(len, rows.values()))
        width = widest * (_WIDTH + _GAP_X)
        heads.append(_text(left + width / 2, _MARGIN + 4, f"{lane[0]}/", 'font-weight="bold" text-anchor="middle"'))
        for number, row in rows.items():
            start = left + (width - len(row) * (_WIDTH + _GAP_X)) / 2
            for place, room in enumerate(row):
                corner[room] = start + place * (_WIDTH + _GAP_X), 2 * _MARGIN + number * (_HEIGHT + _GAP_Y)
        left += width + 2 * _GAP_X
    height = 2 * _MARGIN + (top + 1) * (_HEIGHT + _GAP_Y)
    total = height + _LINE * (len(WAY) // 2 + 2)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left:g} {total:g}" font-family="sans-serif" '
        f'font-size="{_LETTERS}" role="img">',
        "<title>The rooms of the code, from the commands down to the facts, and the way of a trial</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#888"/></marker></defs>',
        f'<rect width="{left:g}" height="{total:g}" fill="#fff"/>',
        *heads,
    ]
    for room, targets in sorted(reduced(graph).items()):
        lines += [_arrow(corner[room], corner[target]) for target in sorted(targets)]
    for room, (x, y) in corner.items():
        package, _, name = room.partition("/")
        box = f'x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="5" fill="{_COLOURS[package]}"'
        lines.append(f"<rect {box}/>")
        lines.append(_text(x + _WIDTH / 2, y + _HEIGHT / 2 + 4, name or room, 'text-anchor="middle"'))
    return "\n".join([*lines, *_way(corner, height), "</svg>", ""])


def _way(corner: dict[str, tuple[float, float]], y: float) -> Iterator[str]:
    """The stations: a number at their rooms, and the list of them below the rooms. Raises LookupError for one gone."""
    seen: dict[str, int] = {}
    yield _text(_MARGIN, y, "The way of a trial, from a line of a config to its score:", 'font-weight="bold"')
    for number, (what, file, name) in enumerate(WAY, 1):
        text = (REPOSITORY / file).read_text("utf-8")
        if name not in text:
            raise LookupError(f"{file} has no {name}, which the way of a trial leads through")
        half = (len(WAY) + 1) // 2
        column, line = divmod(number - 1, half)
        yield _text(_MARGIN + column * 540, y + _LINE * (line + 1.2), f"{number}  {what}: {file} ({name})")
        if file.endswith(".py"):
            room = room_of(Path(file))
            x, room_y = corner[room]
            at = x + 10 + 19 * seen.setdefault(room, 0)
            seen[room] += 1
            yield f'<circle cx="{at:g}" cy="{room_y:g}" r="9" fill="#333"/>'
            yield _text(at, room_y + 4, str(number), 'fill="#fff" text-anchor="middle"')


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    x, y = start[0] + _WIDTH / 2, start[1] + _HEIGHT
    to_x, to_y = end[0] + _WIDTH / 2, end[1]
    bend = f"C{x:g} {y + _GAP_Y:g} {to_x:g} {to_y - _GAP_Y:g} {to_x:g} {to_y:g}"
    return f'<path d="M{x:g} {y:g}{bend}" fill="none" stroke="#888" marker-end="url(#head)"/>'


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" {style}>{html.escape(text)}</text>'


def sentence(room: str) -> str:
    """What the `__init__` of a room says that it is for; empty for one that is no folder."""
    path = REPOSITORY / room / "__init__.py"
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0] if path.is_file() else ""


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")
