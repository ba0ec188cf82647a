"""How soon the fleet's page stands in Chromium, with all SLO instances of a server: each time in a context of its own.

First paint is the browser's own entry; rows are there in the frame behind the first one's. What was opened first of
all is told apart: the server had asked nothing yet.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any

from pipeline.commands.children import environment
from pipeline.settings import Settings
from tests.web.chromium import chromium, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

GOAL_MS = 1_000
FIRST_ROW = "burn-grid tr[data-index='0']"
#: milliseconds since the page was asked for: until something was painted, and until the first row was
SEEN = f"""new Promise(found => {{
    const look = () => {{
        const [paint] = performance.getEntriesByName("first-contentful-paint")
        const row = document.querySelector("{FIRST_ROW}")
        if (paint && row) requestAnimationFrame(() => found({{paint_ms: paint.startTime, rows_ms: performance.now()}}))
        else requestAnimationFrame(look)
    }}
    look()
}})"""


def measure(settings: Settings, repeats: int = 9) -> dict[str, Any]:
    """Open the page over a ClickHouse so many times, and once before that."""
    with served(settings) as address, chromium() as browser:
        first, *others = [once(browser, address) for _ in range(repeats + 1)]
    names = ("paint_ms", "rows_ms")
    kinds = {"median": median, "most": max}
    return {"goal_ms": GOAL_MS, "first": first} | {
        f"{kind}_{name}": of(each[name] for each in others) for kind, of in kinds.items() for name in names
    }


def once(browser: "Browser", address: str) -> dict[str, float]:
    """Open it once."""
    with opened(browser, address) as page:
        seen: dict[str, float] = page.evaluate(SEEN)
        return seen


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """Run `burnline web` beside us."""
    command = (sys.executable, "-m", "pipeline.cli", "web", "--bind", "127.0.0.1:0", "--json")
    with subprocess.Popen(command, env=environment(settings), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["http"]
        finally:
            process.terminate()


def lines(result: dict[str, Any]) -> list[str]:
    """Say it to people."""
    first = result["first"]
    return [
        f"page: first paint {result['median_paint_ms']:.0f} ms (most {result['most_paint_ms']:.0f}), rows "
        f"{result['median_rows_ms']:.0f} ms (most {result['most_rows_ms']:.0f}); goal {result['goal_ms']} ms",
        f"page: opened first of all: paint {first['paint_ms']:.0f} ms, rows {first['rows_ms']:.0f} ms",
    ]
