"""What a submission is made of: the files that decide what it computes, and one hash over them.

Counted are
- its file, and what that imports from beside it, by the layout of an official repository from the folders above it,
  from `submissions/` and from the kit, and so on from there;
- where the file is its folder's own (`jax.py`, `pytorch.py`, `submission.py`): all code in the folder and below it, but
  the other framework's file;
- data that lie with it and that its code names in a string: `np.load(here / "table.npz")`, or by their ending:
  `glob("*.npz")`.

Not counted are comments, docstrings and blank lines of Python code; bytecode, hidden files, editors' copies, unless the
code reads one by its whole name; folders of results, of prepared data and of environments; and what a trial's point is
drawn from, as the point itself is compared.
Symbolic links are followed: what they lead to counts, under their own name.
"""

import ast
import dataclasses
import fnmatch
import hashlib
import io
import os
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from algoperf.benchmark.facts import FRAMEWORKS, UsageError
from algoperf.benchmark.protocol import PROTOCOLS
from algoperf.imports import homes
from algoperf.submission import requirements
from algoperf.submission.loading import KIT, SUBMISSIONS
from algoperf.submission.points import POINT_FILES

_OF_A_FOLDER = (*(f"{framework}.py" for framework in FRAMEWORKS), "submission.py")
_CODE = {".py", ".pyx", ".pxd", ".so", ".c", ".cc", ".cpp", ".cxx", ".h", ".hpp", ".cu", ".cuh"}
_PASSED_OVER = (".*", "__pycache__", "*.py[co]", "*~", "#*#", "*.sw[a-z]", "*.bak", "*.orig", "*.rej", "*.tmp")
# They count where the code itself names one of them.
_NOT_READ = {*POINT_FILES, requirements.FILE}
# Packages whose modules belong to the submissions that import them, and where they lie.
_SHARED = {"submissions": SUBMISSIONS, "algoperf.kit": KIT}
_WRITTEN_DIGITS = 16


@dataclasses.dataclass(frozen=True)
class Content:
    """sha256: over all files. files: name, from the submission's folder or from the repository -> hash of its own."""

    sha256: str
    files: Mapping[str, str]


def content(path: Path) -> Content:
    """The content of the submission in the file `path`. Raises UsageError for a file that cannot be read."""
    found = _Search(path).files
    hashes = {name: hashlib.sha256(_meaning(file)).hexdigest() for name, file in sorted(found.items())}
    whole = hashlib.sha256("".join(f"{digest} {name}\n" for name, digest in hashes.items()).encode())
    return Content(whole.hexdigest(), {name: digest[:_WRITTEN_DIGITS] for name, digest in hashes.items()})


class _Search:
    """files: what counts of a submission, by name."""

    def __init__(self, path: Path):
        self._folder = path.parent.absolute()
        self.files: dict[str, Path] = {}
        self._strings: set[str] = set()
        self._add(path.name, path)
        if path.name not in _OF_A_FOLDER:
            self._add_named(self._named_files())
            return
        beside = dict(_below(self._folder))
        for name, file in beside.items():
            if file.suffix in _CODE and name not in _OF_A_FOLDER and not _is_passed_over(file.name):
                self._add(name, file)
        self._add_named(beside)

    def _add(self, name: str, file: Path) -> None:
        if name in self.files:
            return
        self.files[name] = file
        if file.suffix != ".py" or (tree := _parsed(file)) is None:
            return
        self._strings |= _strings(tree)
        for imported in _imports(tree):
            for its_file in self._files(file, imported):
                self._add(self._name(its_file), its_file)

    def _files(self, importing: Path, imported: "_Import") -> Iterator[Path]:
        """What an import runs of the submission's own files and of shared ones."""
        if imported.level > 0:
            yield from _files_of(imported.names, importing.parents[imported.level - 1])
            return
        for package, folder in _SHARED.items():
            head = package.split(".")
            if imported.names[: len(head)] == head:
                yield from _files_of(imported.names[len(head) :], folder)
        own = list(_files_of(imported.names, self._folder))
        yield from own or self._files_above(imported)

    def _files_above(self, imported: "_Import") -> Iterator[Path]:
        """What an absolute import means by the layout of an official repository, where it means a file at all."""
        location = homes.own_location(self._folder, [self._folder], imported.module, imported.members)
        if location is not None and location != self._folder:
            is_around = self._folder.is_relative_to(location)  # what those packages do is not the submission's
            yield from () if is_around else _files_of([location.name], location.parent)
            yield from _files_of(imported.members, location)

    def _name(self, file: Path) -> str:
        """From the submission's folder, or from the repository where the file is shared."""
        if not file.is_relative_to(self._folder):
            for package, folder in _SHARED.items():
                if file.is_relative_to(folder):
                    return Path(*package.split("."), file.relative_to(folder)).as_posix()
        return Path(os.path.relpath(file, self._folder)).as_posix()

    def _named_files(self) -> dict[str, Path]:
        """Those that a string of the code leads to from the submission's folder."""
        names = (string.strip("/") for string in self._strings)
        found = {name: self._folder / name for name in names if 0 < len(name) < 256 and "\0" not in name}
        return {name: file for name, file in found.items() if file.is_file()}

    def _add_named(self, candidates: Mapping[str, Path]) -> None:
        whole = {string.rpartition("/")[2] for string in self._strings}
        for name, file in candidates.items():
            endings = {file.name} if file.name in _NOT_READ else {file.name, file.suffix or file.name}
            inside = any(ending in string for ending in endings for string in self._strings)
            if file.name in whole or (inside and not _is_passed_over(file.name)):
                self.files.setdefault(name, file)


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file in a folder and below it, by its path from there."""
    pending, seen = [(folder, "")], set()
    while pending:
        inside, shown = pending.pop()
        if (real := os.path.realpath(inside)) in seen:  # a link that leads back
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(inside), key=lambda entry: entry.name)
        except OSError as error:
            raise UsageError(f"the submission's folder {inside} cannot be listed: {error.strerror}.") from None
        for entry in entries:
            if entry.is_file():
                yield shown + entry.name, Path(entry.path)
            elif entry.is_dir() and not _is_passed_over(entry.name) and _holds_a_submissions_files(entry):
                pending.append((Path(entry.path), f"{shown}{entry.name}/"))


def _is_passed_over(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _PASSED_OVER)


def _holds_a_submissions_files(folder: os.DirEntry) -> bool:
    """Not results, prepared data or an environment. Of links only those to code: others may lead to anything."""
    path = Path(folder.path)
    try:
        names = os.listdir(path)
    except OSError as error:
        raise UsageError(f"the submission's folder {path} cannot be listed: {error.strerror}.") from None
    if folder.is_symlink():
        return any(name.endswith(".py") for name in names)
    is_environment = "pyvenv.cfg" in names
    is_of_the_benchmark = any(name in PROTOCOLS or (path / name / "manifest.json").exists() for name in names)
    return not is_environment and not is_of_the_benchmark


def _files_of(names: Sequence[str], folder: Path) -> Iterator[Path]:
    """The module's own file in `folder`, and its packages': `a.b` is `a/__init__.py` and `a/b.py`."""
    for end in range(1, len(names) + 1):
        inside = folder.joinpath(*names[:end])
        for file in (inside / "__init__.py", inside.with_name(f"{inside.name}.py")):
            if file.is_file():
                yield file


class _Import(NamedTuple):
    """`from MODULE import MEMBER`, from so many folders up; whether the member is a module shows on the disk."""

    level: int
    module: list[str]
    members: list[str]

    @property
    def names(self) -> list[str]:
        return self.module + self.members


def _imports(tree: ast.AST) -> Iterator[_Import]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (_Import(0, alias.name.split("."), []) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                yield from (_Import(level, module.split(".") if module else [], [alias.name]) for alias in names)


def _strings(tree: ast.AST) -> set[str]:
    """The strings of the code, docstrings aside."""
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in bare)
    return {node.value for node in nodes if isinstance(node.value, str)}


def _parsed(file: Path) -> ast.AST | None:
    try:
        return ast.parse(_read(file))
    except (SyntaxError, ValueError):
        return None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}, a part of the submission, cannot be read: {error.strerror}.") from None


def _meaning(file: Path) -> bytes:
    """What of a file counts: all of it, or of Python code what is no comment, docstring or blank line."""
    data = _read(file)
    if file.suffix != ".py":
        return data
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return _code_of(data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")).encode()
    except (SyntaxError, ValueError, tokenize.TokenError):  # no Python of this version: nothing can be told apart
        return data


def _code_of(text: str) -> str:
    """The same text for every version of Python: tokens tell only what is left out."""
    lines = text.split("\n")
    inside: set[int] = set()  # rows that end inside of a string, where every blank counts
    cuts: list[tuple[tuple[int, int], tuple[int, int]]] = []
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type != tokenize.NL]
    before = tokenize.NEWLINE
    formatted: list[int] = []  # rows in which the f-strings began that are open
    for place, token in enumerate(tokens):
        if token.type == tokenize.COMMENT:
            cuts.append((token.start, token.end))
            continue
        if token.type == tokenize.STRING:
            after = next(other.type for other in tokens[place + 1 :] if other.type != tokenize.COMMENT)
            begins = before in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
            if begins and after == tokenize.NEWLINE and "f" not in token.string.partition(token.string[-1])[0].lower():
                cuts.append((token.start, token.end))
            else:
                inside.update(range(token.start[0], token.end[0]))
        elif tokenize.tok_name[token.type] == "FSTRING_START":
            formatted.append(token.start[0])
        elif tokenize.tok_name[token.type] == "FSTRING_END":
            inside.update(range(formatted.pop(), token.end[0]))
        before = token.type
    for (row, column), (end_row, end_column) in reversed(cuts):
        head, tail = lines[row - 1][:column], lines[end_row - 1][end_column:]
        lines[row - 1 : end_row] = [head + tail, *[""] * (end_row - row)]
    stripped = ((row, line if row in inside else line.rstrip()) for row, line in enumerate(lines, 1))
    return "\n".join(line for row, line in stripped if line or row in inside)
