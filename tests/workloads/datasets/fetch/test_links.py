"""A person's links, out of the mail that brought them."""

import time

import pytest

from algoperf.benchmark.facts import UsageError
from workloads.datasets.fetch.links import read_links, shown

SOON = int(time.time()) + 86_400


def link(name: str, ends: int = SOON) -> str:
    return f"https://example.org/v2.0/{name}?AWSAccessKeyId=ABC&Signature=x%2Fy%3D&Expires={ends}"


def test_a_mail_is_read_as_it_is(tmp_path):
    """Commands with quotes, one broken by the mail program, and addresses without quotes."""
    one, two, three = link("a.tar.xz"), link("b.tar.xz"), link("c.tar.xz")
    broken = two.replace("&Signature", "&\n  Signature")
    mail = (
        f"Dear you,\ncurl -C - \"{one}\" --output a.tar.xz\ncurl -C - '{broken}' --output b\nor {three} and <{one}>\n"
    )
    (tmp_path / "mail").write_text(mail)
    assert read_links(tmp_path / "mail") == {"a.tar.xz": one, "b.tar.xz": two, "c.tar.xz": three}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing\n", "has no address"),
        (f"{link('a')}\n{link('a', SOON + 1)}", "has two different links to a; leave one"),
        (link("a", 1_600_000_000), "the link to a ended on 2020-09-13; ask for a new one"),
    ],
)
def test_what_is_wrong_with_links_is_said_without_their_secrets(tmp_path, text, reason):
    (tmp_path / "mail").write_text(text)
    with pytest.raises(UsageError, match=reason) as error:
        read_links(tmp_path / "mail")
    assert "Signature" not in str(error.value)


def test_a_file_that_is_missing_is_said(tmp_path):
    with pytest.raises(UsageError, match=r"the links in .*mail can not be read"):
        read_links(tmp_path / "mail")


def test_an_address_for_people_has_no_secret():
    assert shown("https://me:pass@example.org:8443/a/b.gz?Signature=s#x") == "example.org:8443/a/b.gz"
