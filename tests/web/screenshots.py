"""Pictures for the README: `python -m tests.web.screenshots` tells the story to servers of its own and looks at it."""

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from pipeline.embedded import EmbeddedClickHouse
from tests.database import Database
from tests.web import story
from tests.web.chromium import PATIENCE_MS, chromium, opened
from tests.web.serving import serving

HOME = Path(__file__).parents[2] / "docs"
HERO = "/slo/chat-ttft?instance=" + story.HERO.replace("=", "%3D").replace(",", "%2C")
#: name, path, width, height, colours, what has to be there
PICTURES = (
    ("page-fleet", "/", 1280, 720, "light", "burn-grid tr[data-index='0'] .trend"),
    ("page-slo", HERO, 1280, 1180, "light", ".marks li"),
)
MORE = (
    ("dark-fleet", "/?group=service", 1280, 720, "dark", "burn-grid tr[data-index='1'] .trend"),
    ("dark-slo", HERO + "&from=-24h", 1280, 2100, "dark", ".marks li"),
    ("alerts", "/alerts", 1280, 800, "light", ".timeline canvas"),
    ("alert", "/alerts?alert=chat-errors%7Cregion%3Dus-east", 1280, 700, "light", "table"),
    ("pipeline", "/pipeline", 1280, 900, "light", "table"),
    ("signals", "/signals", 1280, 500, "dark", ".box"),
    ("phone-fleet", "/", 390, 800, "dark", "burn-grid tr[data-index='0']"),
    ("phone-slo", HERO, 390, 2400, "light", ".marks li"),
)


def take(browser: Any, address: str, folder: Path, pictures: Any) -> None:
    for name, path, width, height, scheme, wanted in pictures:
        size = {"width": width, "height": height}
        with opened(browser, address, path, viewport=size, color_scheme=scheme) as page:
            page.wait_for_selector(wanted)
            expect(page.locator(".pill")).to_have_text("3", timeout=PATIENCE_MS)  # once open alerts are known
            expect(page.locator(".blank, .loading")).to_have_count(0, timeout=PATIENCE_MS)
            page.screenshot(path=folder / f"{name}.png")
            print(folder / f"{name}.png", f"{(folder / f'{name}.png').stat().st_size / 1000:.0f} kB", flush=True)


def main(more: Path | None) -> None:
    with tempfile.TemporaryDirectory() as scratch, EmbeddedClickHouse(Path(scratch) / "clickhouse") as server:
        database, files = Database(server), story.write_files(Path(scratch) / "slo")
        with database.client() as client:
            now = datetime.now(UTC)
            story.tell(client, now, files)
            story.tell_more(client, now)
        with serving(database.settings(files)) as served, chromium() as browser:
            take(browser, served.address, HOME, PICTURES)
            if more:
                take(browser, served.address, more, MORE)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
