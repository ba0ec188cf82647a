"""Debian's Chromium, as `make chromium` unpacked it, and a witness of what a page does in it.

Nothing is downloaded. A page of ours asks nobody but its own server, writes no error, and breaks none of its own
policy: the witness keeps whatever does, and every test says so at its end.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

UNPACKED = Path(__file__).parents[2] / ".burnline" / "chromium"
PROGRAM = UNPACKED / "usr" / "lib" / "chromium" / "chromium"
QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync")
PATIENCE_MS = 60_000
#: what the browser itself writes when a test takes the server away
EXPECTED = ("Failed to load resource",)


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Start the browser; skip the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not PROGRAM.exists():
        pytest.skip("no Chromium: run `make chromium`")
    libraries = next((UNPACKED / "usr" / "lib").glob("*-linux-gnu"))
    folders = (libraries, *(path for path in libraries.iterdir() if path.is_dir()))
    environment = {
        **os.environ, "LD_LIBRARY_PATH": os.pathsep.join(map(str, folders)), "TZ": "Europe/Berlin",
        "XDG_DATA_HOME": str(UNPACKED / "usr/share"),  # fonts, where the machine has none
    }  # fmt: skip
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=PROGRAM, env=environment, args=QUIET, chromium_sandbox=False)
        yield browser
        browser.close()


@dataclass
class Witness:
    """What a page did that it should not have."""

    address: str
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def watch(self, page: "Page") -> None:
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._written)
        page.on("request", self._asked)

    def _written(self, message: Any) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(EXPECTED):
            self.errors.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:")):
            self.strangers.append(request.url)


@contextmanager
def opened(browser: "Browser", address: str, path: str = "/", **options: Any) -> Iterator["Page"]:
    """Open a page of its own, without anything remembered; what it did is judged when it closes."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **options})
    context.set_default_timeout(PATIENCE_MS)
    page, witness = context.new_page(), Witness(address)
    witness.watch(page)
    page.goto(address + path)
    yield page
    context.close()
    assert not witness.errors + witness.strangers, f"it wrote {witness.errors}, and asked {witness.strangers}"
