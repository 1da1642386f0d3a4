"""A person's own links to files that are only given to those who agreed to something: any text with addresses in it.

The mail that brings them may be saved as it is: shell commands, quoted addresses, lines that were broken by the mail
program. Addresses hold signatures: they are never printed in full.
"""

import re
import time
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from algoperf.benchmark.facts import UsageError

_QUOTED = re.compile(r"\"(https?://[^\"]*)\"|'(https?://[^']*)'|<(https?://[^>]*)>")
_BARE = re.compile(r"https?://[^\s\"'<>]+")


def read_links(file: Path) -> dict[str, str]:
    """The last part of each address in the file -> the address.

    Raises UsageError where the file is missing or holds none, where two are of one name, and where a link has ended.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the links in {file} can not be read ({error}).") from error
    quoted = ["".join("".join(groups).split()) for groups in _QUOTED.findall(text)]
    links: dict[str, str] = {}
    for url in [*quoted, *_BARE.findall(_QUOTED.sub(" ", text))]:
        name = PurePosixPath(unquote(urlsplit(url).path)).name
        if links.setdefault(name, url) != url:
            raise UsageError(f"{file} has two different links to {name}; leave one.")
        _check_not_ended(name, url)
    if not links:
        raise UsageError(f"{file} has no address that begins with https:// or http://.")
    return links


def _check_not_ended(name: str, url: str) -> None:
    """Signed links of Amazon's S3 say when they end."""
    ends = parse_qs(urlsplit(url).query).get("Expires", ["never"])[0]
    if ends.isdecimal() and int(ends) < time.time():
        day = time.strftime("%Y-%m-%d", time.gmtime(int(ends)))
        raise UsageError(f"the link to {name} ended on {day}; ask for a new one, what was fetched stays.")


def shown(url: str) -> str:
    """An address for people, without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
