"""A store is counted, its bytes are read, and some of it is shown on one page."""

import html.parser
import re

import pytest

from algoperf.benchmark.registry import load_spec
from workloads.datasets.verify import verify

WORKLOADS = {
    "criteo1tb": "<table>",
    "fastmri": 'alt="k-space"',
    "imagenet_resnet": "label ",
    "librispeech_conformer": "<audio",
    "ogbg": "<svg",
    "wmt": 'lang="de"',
    "finewebedu_lm": 'lang="en"',
}


class Page(html.parser.HTMLParser):
    """What a page opens and closes, and where it would get something from."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "line", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in ("line", "circle") or self.open.pop() == tag


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_page_shows_every_split_and_needs_no_other_file(workload, data_dir, tmp_path):
    spec = load_spec(workload, "mini")
    verify(spec, data_dir, tmp_path / "sheet.html")
    text = (tmp_path / "sheet.html").read_text("utf-8")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert all(source.startswith("data:") for source in page.sources)
    assert text.count(WORKLOADS[workload]) >= 24
    assert re.findall("<h2>(.*?)</h2>", text) == [s for s in ("train", "validation", "test") if spec.num_examples(s)]
    assert "Every checksum is right." in text
    assert len(text) < 20_000_000


def test_a_damaged_store_is_named_and_no_page_is_written(algoperf, data_dir, tmp_path):
    store = tmp_path / "sotu"
    store.mkdir()
    for file in (data_dir / "sotu").iterdir():
        if file.is_file():
            (store / file.name).write_bytes(file.read_bytes())
    file = next(store.glob("*.train"))
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    code, _, error = algoperf("data", "verify", "finewebedu_lm", "--scale", "mini", "--data-dir", tmp_path)
    assert (code, f"{file} is damaged" in error) == (1, True)
    file.write_bytes(content[:-2])
    code, _, error = algoperf("data", "verify", "finewebedu_lm", "--scale", "mini", "--data-dir", tmp_path)
    assert (code, "is missing or cut short" in error) == (2, True)
    assert not (tmp_path / "sotu.html").exists()


def test_the_command_says_where_the_page_is(algoperf, data_dir, tmp_path):
    arguments = ("data", "verify", "wmt", "--scale", "mini", "--data-dir", data_dir, "--sheet", tmp_path / "a.html")
    code, printed, error = algoperf(*arguments)
    assert (code, str(tmp_path / "a.html") in printed.replace("\n", "")) == (0, True), error
    assert (tmp_path / "a.html").is_file()


def test_a_page_that_can_not_be_written_is_said_first(algoperf, data_dir, tmp_path):
    arguments = ("data", "verify", "wmt", "--scale", "mini", "--data-dir", data_dir, "--sheet", tmp_path / "no/a.html")
    code, _, error = algoperf(*arguments)
    assert (code, "a.html can not be written; choose another --sheet." in error) == (2, True)
