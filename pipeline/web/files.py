"""The page's files: read from the package once, served from memory. No path of a request ever becomes a file's.

Law: what is served is what was there at the start, under the name it had; every view of the page is the same document.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from pipeline.web.respond import COMPRESSED_FROM_BYTES, KEPT, is_same

HOME = Path(__file__).parent / "page"
DOCUMENT = "/index.html"
VIEWS = ("/", "/alerts", "/signals", "/pipeline")
OF_ONE = "/slo/"  #: and a name
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".map": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}
#: what a page of ours may do: run and show what came from here, and ask here
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class File:
    """A file as it is sent."""

    body: bytes
    packed: bytes
    kind: str
    etag: str

    def response(self, request: web.Request) -> web.Response:
        headers = {**KEPT, "ETag": f'W/"{self.etag}"', "Content-Security-Policy": POLICY, "Content-Type": self.kind}
        if is_same(request, self.etag):
            return web.Response(status=304, headers=headers)
        if len(self.body) < COMPRESSED_FROM_BYTES or "gzip" not in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=self.body, headers=headers)
        return web.Response(body=self.packed, headers={**headers, "Content-Encoding": "gzip"})


class Files:
    """Every file of the page."""

    def __init__(self, home: Path = HOME) -> None:
        self._files = dict(_read(home))

    def find(self, path: str) -> File | None:
        """Return what a path names."""
        is_view = path in VIEWS or (path.startswith(OF_ONE) and "/" not in path.removeprefix(OF_ONE) and path != OF_ONE)
        return self._files.get(DOCUMENT if is_view else path)


def _read(home: Path) -> Iterator[tuple[str, File]]:
    for path in sorted(home.rglob("*")):
        if path.is_file() and path.suffix in KINDS and not path.is_symlink():
            body = path.read_bytes()
            made = File(body, gzip.compress(body, mtime=0), KINDS[path.suffix], sha256(body).hexdigest()[:20])
            yield f"/{path.relative_to(home).as_posix()}", made
