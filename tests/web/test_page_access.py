"""The page for everybody: by keyboard alone, on a phone, in the dark, read aloud; and within its own policy."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.web.chromium import PATIENCE_MS
from tests.web.serving import Served
from tests.web.story import HERO

Look = Callable[..., AbstractContextManager[Page]]
FIRST = "burn-grid tr[data-index='0']"
OF_HERO = "/slo/chat-ttft?instance=" + HERO.replace("=", "%3D").replace(",", "%2C")
#: every view, and what has come when it is drawn
VIEWS = {
    "/?group=service": f"{FIRST} strong",
    "/": f"{FIRST} a",
    OF_HERO: ".marks li",
    "/slo/chat-errors": "table",
    "/alerts": ".timeline canvas",
    "/alerts?alert=chat-errors%7Cregion%3Dus-east": "table",
    "/signals": "table",
    "/pipeline": "table",
}

pytestmark = pytest.mark.servers
expect.set_options(timeout=PATIENCE_MS)


#: what of a view is another thing in the dark, or on a phone
IN_THE_DARK = ["color-contrast"]
ON_A_PHONE = ["scrollable-region-focusable", "target-size", "color-contrast"]


def serious(page: Page, rules: list[str] | None = None) -> list[tuple[str, list[str], str]]:
    """What axe finds that keeps somebody out, by all of its rules or some."""
    options = {"resultTypes": ["violations"]} | ({"runOnly": {"type": "rule", "values": rules}} if rules else {})
    return [
        (each["id"], node["target"], node["failureSummary"])
        for each in Axe().run(page, options=options).response["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]


@pytest.mark.parametrize("path", VIEWS)
def test_a_view_is_for_everybody_light_dark_and_on_a_phone(look: Look, path: str) -> None:
    with look(path) as page:
        page.locator(VIEWS[path]).first.wait_for()
        expect(page.locator(".live")).to_have_text("Live")
        assert serious(page) == []
        page.emulate_media(color_scheme="dark")
        assert serious(page, IN_THE_DARK) == []
        page.set_viewport_size({"width": 360, "height": 740})
        page.locator(VIEWS[path]).first.wait_for()
        assert serious(page, ON_A_PHONE) == []
        boxes = "[document.documentElement, document.getElementById('main')]"
        wide = page.evaluate(f"{boxes}.map((each) => each.scrollWidth - each.clientWidth)")
        assert wide == [0, 0]


def test_the_keyboard_goes_everywhere(look: Look) -> None:
    with look("/") as page:
        page.locator(FIRST).wait_for()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
        page.locator(FIRST).focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("j")
        expect(page.locator("burn-grid tr[data-index='2']")).to_be_focused()
        page.keyboard.press("k")
        expect(page.locator("burn-grid tr[data-index='1']")).to_be_focused()
        assert page.locator("burn-grid tr[tabindex='0']").count() == 1
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_contain_text("chat-ttft")
        for key, title in (("a", "Alerts"), ("s", "Signals"), ("p", "Pipeline"), ("f", "Fleet")):
            page.keyboard.press("g")
            page.keyboard.press(key)
            expect(page.locator("h1")).to_have_text(title)
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_contain_text("Keyboard")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_keyboard_leaves_the_filter_for_the_rows_and_is_told_where_it_goes(look: Look) -> None:
    with look("/") as page:
        page.locator(FIRST).wait_for()
        page.keyboard.press("j")
        expect(page.locator(FIRST)).to_be_focused()
        page.keyboard.press("/")
        page.keyboard.type("chat")
        page.keyboard.press("Escape")
        expect(page.locator("#filter")).to_have_value("")
        page.keyboard.press("Escape")
        expect(page.locator("burn-grid tr[tabindex='0']")).to_be_focused()
        page.keyboard.press("g")
        page.keyboard.press("a")
        expect(page.locator("#announcer")).to_have_text("Alerts")
        expect(page.locator("#main")).to_be_focused()


def test_what_has_the_focus_is_seen_to_have_it(look: Look) -> None:
    with look("/") as page:
        page.locator(FIRST).wait_for()
        page.keyboard.press("/")
        for _ in range(12):
            page.keyboard.press("Tab")
            width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert width == "2px", page.evaluate("document.activeElement.outerHTML")


def test_dark_and_light_follow_the_system_until_somebody_chooses(look: Look) -> None:
    with look("/", color_scheme="dark") as page:
        page.locator(FIRST).wait_for()
        ground = "getComputedStyle(document.documentElement).backgroundColor"
        dark = page.evaluate(ground)
        page.keyboard.press("t")
        expect(page.locator("html")).to_have_attribute("data-theme", "light")
        light = page.evaluate(ground)
        assert dark != light
        page.reload()
        page.locator(FIRST).wait_for()
        assert page.evaluate(ground) == light
        page.keyboard.press("t")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        assert page.evaluate(ground) == dark


def test_states_are_told_apart_without_colour(look: Look) -> None:
    with look("/") as page:
        page.locator(FIRST).wait_for()
        shapes = page.eval_on_selector_all(
            "burn-grid .badge",
            "(all) => all.map((each) => [each.textContent.trim(), each.querySelector('use').href.baseVal])",
        )
        words, icons = zip(*{tuple(each) for each in shapes}, strict=True)
        assert len(set(words)) == len(set(icons)) == len(words) >= 8


def test_what_the_policy_forbids_is_refused_and_does_not_escape_these_tests(page_server: Served, look: Look) -> None:
    policy = httpx.get(page_server.address).headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy and "style-src 'self'" in policy and "unsafe" not in policy
    inline = "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
    with pytest.raises(AssertionError, match="Content Security Policy"), look("/") as page:
        page.locator(FIRST).wait_for()
        page.evaluate(inline)
        assert page.evaluate("window.ran") is None
