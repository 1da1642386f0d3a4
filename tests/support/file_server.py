"""A real HTTP server on the loopback, with files, ranges and versions, that misbehaves as it is told."""

import contextlib
import hashlib
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# A behaviour answers a request for a file, in the place of what a good server does.
Behaviour = Callable[["Request", bytes], None]


class Request(BaseHTTPRequestHandler):
    """A request; `files` is the server's."""

    protocol_version = "HTTP/1.1"
    files: "Files"

    def do_GET(self) -> None:
        self.files.answer(self)

    def log_message(self, *arguments: object) -> None:
        """Not on the screen: `Files.asked` has them."""

    def span(self, size: int) -> tuple[int, int] | None:
        """begin, end of the range that is asked for."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        return (int(asked[1]), min(size, int(asked[2] or size - 1) + 1)) if asked else None

    def say(self, status: int, headers: dict[str, object], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who asked has heard enough
            self.wfile.write(body)

    def give(
        self, content: bytes, total: int | None = None, cut: int | None = None, version: bytes | None = None
    ) -> None:
        """A good server's answer; or one of another `total` or `version`, or whose body ends after `cut` bytes."""
        tag, span = f'"{hashlib.md5(version or content).hexdigest()}"', self.span(len(content))
        if span and self.headers.get("If-Range", tag) == tag:
            begin, end = span
            if begin >= len(content):
                self.say(416, {"Content-Range": f"bytes */{len(content)}"}, b"")
                return
            status, body = 206, content[begin:end]
            headers = {"Content-Range": f"bytes {begin}-{end - 1}/{total or len(content)}", "ETag": tag}
        else:
            status, body, headers = 200, content, {"ETag": tag, "Content-Length": total or len(content)}
        if cut is not None:
            headers["Content-Length"], body, self.close_connection = len(body), body[:cut], True
        self.say(status, headers, body)


def good(request: Request, content: bytes) -> None:
    request.give(content)


def cut(after: int) -> Behaviour:
    """The connection ends after so many bytes of an answer that has more."""

    def behave(request: Request, content: bytes) -> None:
        span = request.span(len(content))
        request.give(content, cut=None if span and span[1] - span[0] <= after else after)

    return behave


def wrong_bytes(request: Request, content: bytes) -> None:
    """As many as there should be, but the last is another one."""
    request.give(content[:-1] + bytes([content[-1] ^ 1]), version=content)


def wrong_length(total: int) -> Behaviour:
    return lambda request, content: request.give(content, total=total)


def shorter(request: Request, content: bytes) -> None:
    """Says that it is whole, and ends early, without a length."""
    request.send_response(200)
    request.send_header("Connection", "close")
    request.end_headers()
    request.wfile.write(content[: len(content) // 2])
    request.close_connection = True


def without_ranges(behave: Behaviour) -> Behaviour:
    """The same of a server that knows no ranges."""

    def answer(request: Request, content: bytes) -> None:
        del request.headers["Range"]
        behave(request, content)

    return answer


def silent(request: Request, content: bytes) -> None:
    """Says what it will give, gives a byte of it, and then nothing for some seconds."""
    span = request.span(len(content)) or (0, len(content))
    request.send_response(206)
    request.send_header("Content-Range", f"bytes {span[0]}-{span[1] - 1}/{len(content)}")
    request.send_header("Content-Length", str(span[1] - span[0]))
    request.end_headers()
    request.wfile.write(content[span[0] : span[0] + 1])
    time.sleep(2)
    request.close_connection = True


def redirect(to: str) -> Behaviour:
    return lambda request, content: request.say(302, {"Location": to}, b"")


def status(code: int, **headers: object) -> Behaviour:
    """headers: with _ for -, as Retry_After=1."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request, content: request.say(code, named, b"no")


def page(request: Request, content: bytes) -> None:
    """Status 200, and a page that asks for a login."""
    request.say(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Please sign in.</html>")


class Files:
    """What a server has. asked: path, range and time of each request, in the order in which they came."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.content: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self._first: dict[str, list[Behaviour]] = {}
        self._always: dict[str, Behaviour] = {}
        self._lock = threading.Lock()

    def put(self, path: str, content: bytes, *first: Behaviour, always: Behaviour = good) -> str:
        """Puts a file below the server; its first answers are `first`, all others `always`. Returns its address."""
        self.content[path], self._first[path], self._always[path] = content, list(first), always
        return f"{self.address}/{path}"

    def answer(self, request: Request) -> None:
        path = urlsplit(request.path).path.removeprefix("/")
        with self._lock:
            self.asked.append((path, request.headers.get("Range")))
            first = self._first.get(path)
            behave = first.pop(0) if first else self._always.get(path, status(404))
        behave(request, self.content.get(path, b""))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asked may be gone at any time; what is printed of it would be taken for the program's own words."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def serving() -> Iterator[Files]:
    server = _Server(("127.0.0.1", 0), Request)
    files = Files(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = type("Bound", (Request,), {"files": files})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
