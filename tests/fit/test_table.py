"""The page has the figures that there are."""

import importlib

import pytest

from tests.conftest import REPOSITORY


def test_the_tables_of_the_page_are_those_of_the_figures():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPOSITORY / "docs")
        fit_table = importlib.import_module("fit_table")
    assert fit_table.PAGE.read_text("utf-8") == fit_table.page(), "python docs/fit_table.py writes them anew"
