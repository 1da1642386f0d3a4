"""How `make docs` makes the site of the Markdown in this folder: Sphinx, MyST and furo, nothing fetched."""

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generated

project = "AlgoPerf: Training Algorithms"
author = "The maintainers"
copyright = "The maintainers, Apache-2.0"  # noqa: A001 - Sphinx's name
release = importlib.metadata.version("algoperf-snakemake")

extensions = ["myst_parser"]
myst_heading_anchors = 4  # links to headings, as a repository's pages have them
myst_enable_extensions = ["colon_fence"]

highlight_language = "bash"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = project
html_copy_source = False
html_show_sourcelink = False


def setup(app):
    """Puts what the code says of itself where a page has `<!-- generated: NAME -->`."""
    app.connect("source-read", lambda app, page, source: source.__setitem__(0, generated.fill(source[0])))
