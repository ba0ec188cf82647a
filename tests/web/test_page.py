"""Every view of the page in a real Chromium, over a real ClickHouse that holds the story: what it says, and what an
address alone brings back."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.web.chromium import PATIENCE_MS
from tests.web.story import HERO, TRACES
from tests.web.test_page_files import PAGE

Look = Callable[..., AbstractContextManager[Page]]
OF_HERO = "/slo/chat-ttft?instance=" + HERO.replace("=", "%3D").replace(",", "%2C")
FIRST = "burn-grid tr[data-index='0']"

pytestmark = pytest.mark.servers
expect.set_options(timeout=PATIENCE_MS)


def states(page: Page) -> list[str]:
    return [text.strip() for text in page.locator("burn-grid tbody .badge").all_inner_texts()]


def test_what_burns_is_at_the_top_and_what_is_unknown_is_not_green(look: Look) -> None:
    with look("/") as page:
        expect(page.locator(FIRST)).to_contain_text("Critical")
        for cell in ("chat-ttft", "eu-west", "llama-3.3-70b"):
            expect(page.locator(FIRST)).to_contain_text(cell)
        silent = page.locator("burn-grid tbody tr", has=page.locator(".badge.no_data"))
        expect(silent).to_contain_text("no data")
        expect(silent.locator(".ok")).to_have_count(0)
        shown = states(page)
        assert shown[:4] == ["Critical", "Warning", "Warning", "Spent"]
        assert shown[8:] == ["OK"] * 11


@pytest.mark.parametrize("width", [390, 1280])
def test_rows_of_one_slo_can_be_told_apart_on_any_screen(look: Look, width: int) -> None:
    with look("/", viewport={"width": width, "height": 800}) as page:
        label = page.locator(FIRST).locator(".label", has_text="llama-3.3-70b").filter(visible=True)
        value, cell = label.bounding_box(), label.locator("xpath=ancestor::td").bounding_box()
        assert value and cell
        assert value["x"] + value["width"] <= cell["x"] + cell["width"]
        assert value["y"] + value["height"] <= cell["y"] + cell["height"]


def test_a_filter_is_typed_and_is_in_the_address(look: Look) -> None:
    with look("/") as page:
        page.locator(FIRST).wait_for()
        page.keyboard.press("/")
        page.keyboard.type("embed qwen")
        expect(page.locator("burn-grid table")).to_have_attribute("aria-rowcount", "2")
        expect(page.locator(FIRST)).to_contain_text("embed-e2e")
        assert page.url.endswith("/?q=embed+qwen")
        page.reload()
        expect(page.locator(FIRST)).to_contain_text("embed-e2e")
        expect(page.locator("#filter")).to_have_value("embed qwen")


def test_states_are_chosen_and_back_undoes_it(look: Look) -> None:
    with look("/") as page:
        page.get_by_role("button", name="2 Warning").click()
        expect(page.locator("burn-grid table")).to_have_attribute("aria-rowcount", "3")
        assert set(states(page)) == {"Warning"}
        page.go_back()
        expect(page.locator("burn-grid table")).to_have_attribute("aria-rowcount", "20")


@pytest.mark.parametrize(
    ("title", "sorted_as", "first"),
    [
        ("Burn now", "descending", "Critical"),
        ("Budget left", "ascending", "Warning"),
        ("SLO", "ascending", "chat-errors"),
        ("Coverage", "ascending", "No data"),
    ],
)
def test_a_column_is_sorted_worst_first_then_turned(look: Look, title: str, sorted_as: str, first: str) -> None:
    with look("/") as page:
        header = page.get_by_role("columnheader", name=title)
        header.get_by_role("button").click()
        expect(header).to_have_attribute("aria-sort", sorted_as)
        expect(page.locator(FIRST)).to_contain_text(first)
        header.get_by_role("button").click()
        expect(header).not_to_have_attribute("aria-sort", sorted_as)
        expect(page.locator(FIRST)).not_to_contain_text(first)
        assert "sort=-" in page.url


def test_groups_say_how_their_members_are_and_fold(look: Look) -> None:
    with look("/?group=service") as page:
        expect(page.locator(FIRST)).to_contain_text("chat 15 instances")
        expect(page.locator(FIRST)).to_contain_text("1 Critical")
        page.locator(FIRST).click()
        expect(page.locator("burn-grid tr[data-index='1']")).to_contain_text("embed 4 instances")
        page.locator(FIRST).click()
        expect(page.locator("burn-grid tr[data-index='1']")).to_contain_text("Critical")


def test_nothing_that_fits_is_said_in_words(look: Look) -> None:
    with look("/?q=nowhere") as page:
        expect(page.locator(".box.empty")).to_contain_text("Nothing matches")
        page.get_by_role("button", name="Show all").click()
        expect(page.locator(FIRST)).to_contain_text("Critical")


def test_an_slo_says_how_it_stands_and_draws_every_chart(look: Look) -> None:
    with look(OF_HERO) as page:
        expect(page.locator("h1")).to_contain_text("chat-ttft")
        expect(page.locator("h1")).to_contain_text("Critical")
        expect(page.locator(".stats")).to_contain_text("target 99 % over 30 d")
        expect(page.locator(".stats")).to_contain_text("contract: 95 %")
        for chart in ("budget", "burn", "counts", "latency", "heatmap"):
            expect(page.locator(f"#{chart} canvas")).to_have_attribute("role", "img")
        expect(page.locator("#burn .summary")).to_contain_text("over 5 min")
        expect(page.locator("#latency .summary")).to_contain_text("The objective is 1 s")
        expect(page.locator(".marks")).to_contain_text("alert")
        expect(page.locator(".traces")).to_contain_text(TRACES[0])
        expect(page.locator(".facts")).to_contain_text("https://runbooks.example/chat-ttft")
        expect(page.get_by_role("region", name="Revisions")).to_contain_text("current")


def test_every_chart_has_its_numbers_and_its_sql(look: Look) -> None:
    with look(OF_HERO) as page:
        figure = page.locator("#counts")
        figure.get_by_text("Numbers").click()
        expect(figure.get_by_role("columnheader")).to_have_text(["Time", "Good", "Bad", "Excluded"])
        assert figure.locator("tbody tr").count() > 30
        figure.get_by_text("SQL", exact=True).click()
        expect(figure.locator("pre")).to_contain_text("slo_counts_1m")


def dragged(page: Page, start: float, end: float) -> bool:
    """Drag over the chart of counts without letting go; tell whether it shows all of what was chosen."""
    page.mouse.move(0, 0)
    page.mouse.up()
    area = page.locator("#counts .u-over")
    area.hover()
    box = area.bounding_box()
    if box is None:
        return False
    page.mouse.move(box["x"] + box["width"] * start, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, box["y"] + 40, steps=4)
    drawn = "width => document.querySelector('#counts .u-select')?.offsetWidth >= width"
    try:
        page.wait_for_function(drawn, arg=box["width"] * (end - start) * 0.9, timeout=2_000)
    except PlaywrightTimeout:
        return False
    return True


def test_a_budget_that_is_spent_does_not_last_no_seconds(look: Look) -> None:
    with look("/") as page:
        said = page.evaluate("import('/format.js').then((words) => [0, 86400].map(words.lasts))")
    assert said == ["spent", "spent in 1 d"]


def test_a_time_range_is_in_the_address_and_dragging_over_a_chart_chooses_one(look: Look) -> None:
    with look(OF_HERO) as page:
        page.get_by_role("button", name="24 h").click()
        assert page.url.endswith("&from=-24h")
        expect(page.locator("#counts .summary")).to_contain_text("in steps of 2 min")
        while not dragged(page, 0.8, 0.9):  # what is live draws the chart anew, under the mouse too
            pass
        page.mouse.up()
        expect(page.locator("#counts .summary")).to_contain_text("in steps of 1 min")
        chosen = dict(part.split("=", 1) for part in page.url.partition("?")[2].split("&"))
        assert 7000 < int(chosen["to"]) - int(chosen["from"]) < 10_400
        page.get_by_role("button", name="back to now").click()
        expect(page.get_by_role("button", name="6 h")).to_have_attribute("aria-pressed", "true")


def test_an_slo_without_an_instance_in_the_address_lets_one_be_chosen(look: Look) -> None:
    with look("/slo/chat-errors") as page:
        expect(page.locator("h2").first).to_have_text("3 instances")
        page.get_by_role("link", name="region=us-east").click()
        expect(page.locator("h1")).to_contain_text("Warning")
        page.get_by_label("Instance (3)").select_option("region=ap-south")
        expect(page.locator("h1")).to_contain_text("Recovering")
        assert page.url.endswith("/slo/chat-errors?instance=region%3Dap-south")


def test_an_instance_without_data_shows_none(look: Look) -> None:
    with look("/slo/chat-ttft?instance=region%3Dap-south%2Crequest_model%3Ddeepseek-r1") as page:
        expect(page.locator("h1")).to_contain_text("No data")
        expect(page.locator(".stats dd").first).to_have_text("no data")
        expect(page.locator("#counts .nothing")).to_be_visible()
        expect(page.locator("canvas")).to_have_count(0)


def test_an_slo_that_nobody_knows_is_an_error_in_words(look: Look) -> None:
    with look("/slo/chat-tfft") as page:
        expect(page.get_by_role("alert")).to_contain_text("Not found")


def test_alerts_are_on_a_timeline_and_in_a_table_and_each_tells_its_story(look: Look) -> None:
    with look("/alerts") as page:
        expect(page.locator(".timeline canvas")).to_have_attribute(
            "aria-label", "Timeline of 6 alerts of 3 SLOs; the table below has the same."
        )
        expect(page.locator(".lead")).to_contain_text("1 critical, 2 warning")
        table = page.get_by_role("table", name="Alerts")
        expect(table.locator("tbody tr")).to_have_count(6)
        expect(table.locator("tbody tr").first).to_contain_text("open")
        page.get_by_role("button", name="Resolved").click()
        expect(table.locator("tbody tr")).to_have_count(3)
        table.get_by_role("link", name="embed-e2e").click()
        expect(page.locator("h1")).to_contain_text("embed-e2e")
        expect(page.get_by_role("table", name="Events of the alert").locator("tbody tr")).to_have_count(2)
        address = page.url
        page.reload()
        expect(page.locator("h1")).to_contain_text("embed-e2e")
        assert page.url == address


def test_signals_say_what_is_in_force_and_no_gate_is_open_while_its_service_burns(look: Look) -> None:
    with look("/signals") as page:
        published = page.get_by_role("table", name="Signals")
        expect(published.locator("tbody tr")).to_have_count(6)
        scale = published.locator("tr", has_text="scale")
        expect(scale).to_contain_text("6 replicas")
        expect(published.locator("tr", has_text="capacity")).to_contain_text("at least")
        expect(published.locator("tr", has_text="gate")).to_contain_text("2 (0 open, 1 caution, 2 frozen)")
        box = page.get_by_role("region", name="Signals")
        assert box.evaluate("(each) => each.scrollWidth <= each.clientWidth"), "all of it is seen"
        expect(published.locator("tr", has_text="forecast")).to_contain_text("Expired")
        expect(published.locator("tr", has_text="cost")).to_contain_text("no data")
        chat = page.get_by_role("table", name="Deploy gates").locator("tr", has_text="chat")
        expect(chat.locator(".badge")).to_be_visible()
        expect(chat.locator(".badge.ok")).to_have_count(0)


def test_the_pipeline_says_what_it_does_not_know(look: Look) -> None:
    with look("/pipeline") as page:
        expect(page.locator(".verdict")).to_contain_text("Not known")
        expect(page.locator(".verdict .ok")).to_have_count(0)
        expect(page.get_by_role("table", name="Stages").locator("tbody tr")).to_have_count(5)
        expect(page.get_by_role("table", name="Dead letters")).to_contain_text("schema 77 is in no registry")


def test_times_are_the_viewers_and_utc_is_beside_them(look: Look) -> None:
    with look("/alerts", timezone_id="Asia/Tokyo") as page:
        shown = page.locator("tbody time").first
        shown.wait_for()
        said: Any = shown.evaluate(
            "(at) => [at.textContent, at.title, new Date(at.dateTime).toLocaleTimeString('en-GB')]"
        )
        assert said[0].endswith(said[2])
        assert "UTC · " in said[1]
        assert said[2] not in said[1]


def test_the_page_asks_for_each_of_its_modules_once(look: Look) -> None:
    with look("/") as page:
        page.locator(FIRST).wait_for()
        names = page.evaluate("performance.getEntriesByType('resource').map((each) => new URL(each.name).pathname)")
        modules = [name for name in names if name.endswith(".js")]
        assert sorted(modules) == sorted(set(modules))
        assert "/vendor/uplot/uPlot.esm.js" not in modules
        assert all((PAGE / name.removeprefix("/")).is_file() for name in modules)
