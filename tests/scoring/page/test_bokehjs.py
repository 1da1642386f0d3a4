"""What draws the pictures is Bokeh's own, of the version that constraints.txt pins, with its license."""

import hashlib
from importlib.metadata import distribution

import pytest

from tests.conftest import REPOSITORY

BOKEHJS = REPOSITORY / "scoring" / "page" / "bokehjs"
FILES = ("LICENSE.txt", "bokeh-api.min.js", "bokeh.min.js")


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_as_the_package_ships_it(name: str):
    (shipped,) = [path for path in distribution("bokeh").files if (path.parts[0], path.name) == ("bokeh", name)]
    digests = {hashlib.sha256(content).digest() for content in ((BOKEHJS / name).read_bytes(), shipped.read_binary())}
    assert len(digests) == 1, f"copy {shipped.locate()} there"


def test_the_package_is_the_one_that_is_pinned_and_nothing_else_lies_there():
    pins = (REPOSITORY / "constraints.txt").read_text("utf-8").splitlines()
    assert f"bokeh=={distribution('bokeh').version}" in pins
    assert sorted(path.name for path in BOKEHJS.iterdir()) == list(FILES)
