"""Text is UTF-8 wherever it is read or written, whatever the locale of whoever calls the program."""

import ast

import pytest

from tests.support.own_code import FOLDERS, found_in

_OTHERS = ("gzip", "os", "tarfile")  # whose `open` is of bytes
_IN_TEXT = {"read_text": 0, "write_text": 1}  # which of their arguments the encoding is


def without_encoding(tree: ast.AST) -> list[int]:
    """Lines of the calls that leave the encoding to the locale."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if _leaves_it(call)]


def _leaves_it(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in named:
        return False
    if name in _IN_TEXT:
        return len(call.args) <= _IN_TEXT[name]
    if name in ("run", "Popen", "check_output"):
        return "text" in named
    if name not in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile"):
        return False
    if getattr(getattr(call.func, "value", None), "id", "") in _OTHERS:
        return False
    is_first = "Temporary" in name or (isinstance(call.func, ast.Attribute) and name == "open")
    modes = call.args[0 if is_first else 1 : 2]
    mode = named.get("mode", modes[0] if modes else ast.Constant("w+b" if "Temporary" in name else "r"))
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and "b" not in mode.value


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_text_is_in_the_locales_encoding(folder):
    assert found_in(folder, without_encoding) == {}


@pytest.mark.parametrize(
    ("code", "leaves_it"),
    [
        ("path.read_text()", True),
        ("path.read_text('utf-8')", False),
        ("path.write_text(text)", True),
        ("path.write_text(text, encoding='utf-8')", False),
        ("path.open()", True),
        ("path.open('a', newline='')", True),
        ("path.open('rb')", False),
        ("open(path, 'w')", True),
        ("open(path, 'xb')", False),
        ("os.open(path, os.O_RDONLY)", False),
        ("subprocess.run(command, text=True)", True),
        ("subprocess.run(command)", False),
        ("tempfile.TemporaryFile()", False),
        ("tempfile.NamedTemporaryFile('w')", True),
    ],
)
def test_calls_that_leave_it_to_the_locale_are_found(code, leaves_it):
    assert bool(without_encoding(ast.parse(code))) == leaves_it
