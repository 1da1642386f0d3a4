"""Asks servers for ranges of files, by requests and urllib3.

These follow redirects, wait as a server's Retry-After says, know proxies and certificates from the environment, and
notice a body that is shorter than its length. What they can not know is here: whether an answer is the range that was
asked for.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import NamedTuple

import requests
import urllib3
from requests.adapters import HTTPAdapter

from workloads.datasets.fetch.links import shown

TRIES = 6  # of one request, where a server does not answer or says that it is busy
LONGEST_WAIT = 600  # seconds that a server may ask us to stay away
_TIMEOUT = (30, 60)  # seconds until there is a connection, and between two pieces of an answer
_BUSY = (429, 500, 502, 503, 504)
_PIECE = 1 << 20  # bytes read at a time
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class RefusedError(Exception):
    """A server will not give the file: a reason that is worth no other try there."""


class CutError(Exception):
    """An answer ended before its end."""


class Answer(NamedTuple):
    """What a server gives: the bytes from `first` on, of `total` (None where it does not say).

    ranges: whether it gives the range that was asked for, and not everything. tag: of the version of the file, or "".
    """

    first: int
    total: int | None
    ranges: bool
    tag: str
    response: requests.Response

    def pieces(self) -> Iterator[bytes]:
        """The bytes as they come. Raises CutError."""
        try:
            while piece := self.response.raw.read(_PIECE, decode_content=False):
                yield piece
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise CutError(str(error)) from error


class Client:
    """Usable from several threads at once."""

    def __init__(self, connections: int, backoff: float = 1.0) -> None:
        """connections: how many at a time. backoff: seconds before the second repetition of a request; then doubled."""
        self.backoff = backoff
        retry = urllib3.Retry(
            TRIES - 1,
            status_forcelist=_BUSY,
            backoff_factor=backoff,
            raise_on_status=False,
            retry_after_max=LONGEST_WAIT,
        )
        self._session = requests.Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=connections, max_retries=retry))
        # Without it some servers say that a .gz is text in gzip, and unpack it.
        self._session.headers.update({"Accept-Encoding": "identity", "User-Agent": "algoperf-snakemake"})

    @contextlib.contextmanager
    def ask(self, url: str, first: int = 0, end: int | None = None, tag: str = "") -> Iterator[Answer]:
        """The bytes first .. end of a file; tag: of the version that they must be of.

        Raises RefusedError where the server does not give them, or is not reached.
        """
        headers = {"Range": f"bytes={first}-{'' if end is None else end - 1}"}
        if tag:
            headers["If-Range"] = tag
        with contextlib.closing(self._get(url, headers)) as response:
            yield _checked(response, shown(url), first)

    def read_json(self, url: str) -> tuple[object, str | None]:
        """What a hub's interface says, and the address of its next page. Raises RefusedError."""
        with contextlib.closing(self._get(url, {})) as response:
            if response.status_code != 200:
                raise RefusedError(_reason(response.status_code, shown(url)))
            try:
                return response.json(), response.links.get("next", {}).get("url")
            except requests.RequestException as error:  # no JSON, or half of it
                raise RefusedError(f"{shown(url)} gives no list of files") from error

    def _get(self, url: str, headers: dict[str, str]) -> requests.Response:
        try:
            return self._session.get(url, headers=headers, stream=True, timeout=_TIMEOUT)
        except (requests.TooManyRedirects, requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
            raise RefusedError(f"{shown(url)} leads nowhere ({_short(error)})") from error
        except requests.RequestException as error:
            raise RefusedError(f"{shown(url)} is not reached ({_short(error)})") from error


def _checked(response: requests.Response, where: str, first: int) -> Answer:
    """The answer of a request for bytes from `first` on. Raises RefusedError where it is something else."""
    if response.status_code not in (200, 206):
        raise RefusedError(_reason(response.status_code, where))
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise RefusedError(
            f"{where} answers with a web page and not with the file (a login, or a link that has ended?)"
        )
    tag = response.headers.get("ETag", "")
    tag = "" if tag.startswith("W/") else tag  # weak: equal in meaning only
    length = response.headers.get("Content-Length", "")
    if response.status_code == 200:
        return Answer(0, int(length) if length.isdecimal() else None, False, tag, response)
    found = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if found is None or int(found[1]) != first:
        raise RefusedError(f"{where} answers with another range of bytes than was asked for")
    return Answer(first, int(found[3]), True, tag, response)


def _reason(status: int, where: str) -> str:
    match status:
        case 401 | 403:
            return (
                f"{where} forbids it (status {status}; a login is missing, or a signed link has ended: get a new one)"
            )
        case 404 | 410:
            return f"{where} is not there (status {status})"
        case _ if status in _BUSY:
            return f"{where} is busy or broken (status {status}, asked {TRIES} times)"
    return f"{where} answers with status {status}"


def _short(error: requests.RequestException) -> str:
    """The innermost reason of an error, which has none of the address in it."""
    inner = error.args[0] if error.args else error
    return str(getattr(inner, "reason", None) or inner).rpartition(": ")[2].strip(" .)\"'") or type(error).__name__
