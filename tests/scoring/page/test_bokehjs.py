"""What draws the pictures is Bokeh's own, of the version that constraints.txt pins, with its license."""

from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

BOKEHJS = REPOSITORY / "scoring" / "page" / "bokehjs"


@pytest.mark.parametrize("path", sorted(BOKEHJS.iterdir()), ids=lambda path: path.name)
def test_each_file_is_as_the_package_ships_it(path: Path):
    (shipped,) = [name for name in distribution("bokeh").files if (name.parts[0], name.name) == ("bokeh", path.name)]
    assert path.read_bytes() == shipped.read_binary(), f"copy {shipped.locate()} there"
