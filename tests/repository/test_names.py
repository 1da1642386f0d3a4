"""Names that one Python takes for others."""

import ast

import pytest

from tests.support.own_code import FOLDERS, found_in

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def hidden(tree: ast.Module) -> list[int]:
    """Lines of functions that use a name of their module, and have a comprehension whose variable it is, too.

    Python 3.12 until 3.12.3, which is Ubuntu 24.04's, takes the one for the other where comprehensions are nested.
    """
    of_module = _of_module(tree)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [function.lineno for function in functions if of_module & _variables(function) & _used_outside(function)]


def _of_module(tree: ast.Module) -> set[str]:
    found = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {(alias.asname or alias.name).partition(".")[0] for alias in names}
            case ast.Assign(targets=targets):
                found |= {name for target in targets for name in _names(target, ast.Store)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return found


def _names(tree: ast.AST, context: type[ast.expr_context]) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, context)}


def _variables(tree: ast.AST) -> set[str]:
    """Of the comprehensions in it."""
    found = [node for node in ast.walk(tree) if isinstance(node, _COMPREHENSIONS)]
    return {name for node in found for part in node.generators for name in _names(part.target, ast.Store)}


def _used_outside(node: ast.AST) -> set[str]:
    """The names that are read where no comprehension has a variable of that name."""
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Load) else set()
    used = set().union(*map(_used_outside, ast.iter_child_nodes(node)))
    if isinstance(node, _COMPREHENSIONS):
        used -= {name for part in node.generators for name in _names(part.target, ast.Store)}
    return used


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_variable_of_a_comprehension_hides_what_its_function_uses(folder: str):
    assert found_in(folder, hidden) == {}


@pytest.mark.parametrize(
    ("body", "is_hidden"),
    [
        ("a = [[row + n for row in ns] for n in ns]\n    return [row(n) for n in ns]", True),
        ("return row(row for row in ns)", True),
        ("return [row for row in ns]", False),
        ("return [row(n) for n in ns]", False),
    ],
)
def test_what_is_hidden_is_found(body: str, is_hidden: bool):
    tree = ast.parse(f"from markup import row\n\ndef section(ns):\n    {body}\n")
    assert hidden(tree) == ([3] if is_hidden else [])
