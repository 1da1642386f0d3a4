"""What is known of official files: each with its source, no two of a name, nothing that contradicts itself."""

import re

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.registry import base_workloads, load_spec
from workloads.datasets.fetch.official import load, with_links

DATASETS = sorted({load_spec(name, "full").dataset for name in base_workloads()})


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_says_where_its_files_are(dataset):
    known = load(dataset)
    assert known.page.startswith("https://")
    assert known.terms
    assert known.files or known.listed
    names = [file.name for file in known.files]
    assert len(set(names)) == len(names)
    for file in known.files:
        assert all(url.startswith("https://") for url in file.urls), file.name
        assert file.urls or known.agreement, file.name
        if file.checksum is not None:
            algorithm, digits = file.checksum
            assert re.fullmatch("[0-9a-f]+", digits)
            assert len(digits) == {"sha256": 64, "md5": 32}[algorithm]
    for entry in (*known.files, *known.listed):
        assert entry.source
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", entry.date)
        assert entry.verified == ""  # nobody has asked the servers yet


def test_the_mini_data_have_no_page_of_their_own():
    with pytest.raises(UsageError, match=r"heads is fetched by `algoperf data prepare` itself; .* criteo1tb, fastmri"):
        load("heads")


def test_links_stand_before_official_addresses():
    known = load("librispeech")
    (first, *_) = with_links(known.files, {"dev-clean.tar.gz": "http://here/dev-clean.tar.gz"}, known)
    assert first.urls == ("http://here/dev-clean.tar.gz", *known.files[0].urls)
    assert first.checksum == known.files[0].checksum


def test_a_link_may_be_to_another_form_of_the_file():
    known = load("fastmri")
    links = {f"knee_singlecoil_{split}.tar.gz": f"http://here/{split}" for split in ("train", "val")}
    files = with_links(known.files, links | {"brain_multicoil_train.tar.gz": "http://here/brain"}, known)
    assert [(file.name, file.urls) for file in files] == [(name, (url,)) for name, url in links.items()]


def test_what_needs_links_says_how_to_get_them():
    known = load("fastmri")
    with pytest.raises(UsageError, match=r"knee_singlecoil_val.tar.xz or .* accept the agreement .* --links FILE"):
        with_links(known.files, {}, known)
