"""What changes while somebody looks: rows follow judgements, a server that goes away is said and comes back, ten
thousand rows are no more than those in sight, and a token is asked for."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from pipeline.embedded import EmbeddedClickHouse
from pipeline.settings import Settings
from tests.database import Database
from tests.web import story
from tests.web.chromium import PATIENCE_MS, opened
from tests.web.serving import Served, serving

Look = Callable[..., AbstractContextManager[Page]]
FIRST = "burn-grid tr[data-index='0']"
MANY, LOOSELY_MS = 10_000, 20_000

pytestmark = pytest.mark.servers
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def own(clickhouse: EmbeddedClickHouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Path]]:
    """A database that this module may change."""
    database, files = Database(clickhouse), story.write_files(tmp_path_factory.mktemp("slo"))
    with database.client() as client:
        now = datetime.now(UTC) - timedelta(minutes=5)
        story.tell(client, now, files)
        story.tell_more(client, now)
    yield database, files
    database.drop()


@pytest.fixture(scope="module")
def reading(own: tuple[Database, Path]) -> Settings:
    database, files = own
    return database.settings(files)


def judge(database: Database, instance: str, **changes: Any) -> None:
    """Judge an instance of chat-errors again, a moment later than ever before."""
    now = datetime.now(UTC)
    labels = dict([instance.split("=")])
    row = story.status(("chat-errors", instance), labels, "chat", 0.999, 30, now, [(now, 99_000, 50)], "r2")
    row |= {"windows_good": [900] * 4, "windows_bad": [100] * 4}
    with database.client() as client:
        story.insert(client, "statuses", [{**row, **changes}])


def test_a_row_follows_its_judgement_without_a_reload(look: Look, own: tuple[Database, Path]) -> None:
    with look("/?slo=chat-errors&sort=slo") as page:
        row = page.locator("burn-grid tbody tr", has_text="eu-west")
        expect(row).to_contain_text("OK")
        page.evaluate("window.isSame = true")
        judge(own[0], "region=eu-west", state="FIRING", severity="CRITICAL", windows_burn_rate=[44.0, 20.0, 9.0, 1.0])
        expect(row).to_contain_text("Critical")
        expect(row).to_contain_text("44.0")
        expect(page.get_by_role("button", name="1 Critical")).to_be_visible()
        assert page.evaluate("window.isSame")
        judge(own[0], "region=eu-west", windows_burn_rate=[0.2] * 4)
        expect(row).to_contain_text("OK")


def test_the_numbers_of_an_slo_follow_too(look: Look, own: tuple[Database, Path]) -> None:
    with look("/slo/chat-errors?instance=region%3Deu-west") as page:
        expect(page.locator("h1")).to_contain_text("chat-errors")
        judge(own[0], "region=eu-west", state="PENDING", windows_burn_rate=[7.25, 5.0, 1.0, 1.0])
        expect(page.locator("h1")).to_contain_text("Pending")
        expect(page.locator(".stats")).to_contain_text("7.25")
        expect(page.locator("#announcer")).to_contain_text("pending")


def test_changes_are_marks_and_requests_that_were_kept_are_listed(look: Look) -> None:
    with look("/slo/chat-ttft?instance=region%3Deu-west%2Crequest_model%3Dllama-3.3-70b") as page:
        change = page.locator(".marks li", has_text="change")
        expect(change).to_contain_text("vllm 0.14 to eu-west")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/compared" in request.url else None)
        expect(change.get_by_role("button")).to_have_text("Did it make anything worse?")
        change.get_by_role("button").hover()
        expect(change.get_by_role("button")).to_have_text("Worse")
        expect(change.get_by_role("status")).to_contain_text("bad after it")
        change.get_by_role("button").click()
        assert len(asked) == 1, "nobody asks on loading, nor again for what is known"
        kept = page.get_by_role("table", name="Slow and bad requests")
        expect(kept.locator("tbody tr")).to_have_count(6)
        expect(kept.locator("tbody tr").first).to_contain_text("2.4 s")
        expect(kept.locator("tbody tr").first).to_contain_text("bad, success")


def test_a_server_that_goes_away_is_said_and_nothing_stays_green(look: Look, page_server: Served) -> None:
    with look("/") as page:
        expect(page.locator(".live")).to_have_text("Live")
        expect(page.locator("burn-grid .badge.ok").first).to_be_visible()
        page_server.stop()
        try:
            expect(page.locator(".live")).to_have_text("Reconnecting …")
            expect(page.get_by_role("alert")).to_contain_text("What is shown was so")
            expect(page.locator("burn-grid .badge.ok")).to_have_count(0)
            expect(page.locator("burn-grid .badge.stale").first).to_have_text("Was OK")
        finally:
            page_server.start()
        expect(page.locator(".live")).to_have_text("Live")
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.locator("burn-grid .badge.ok").first).to_be_visible()


def test_a_database_that_goes_away_is_said_in_the_servers_words(look: Look, own: tuple[Database, Path]) -> None:
    with look("/") as page:
        expect(page.locator(".live")).to_have_text("Live")
        with own[0].server.client() as client:
            client.execute(f"RENAME TABLE {own[0].name}.statuses TO {own[0].name}.away")
            try:
                expect(page.get_by_role("alert")).to_contain_text("What is shown was so")
                expect(page.locator(FIRST)).to_contain_text("Critical")
                expect(page.locator("burn-grid .badge.ok")).to_have_count(0)
            finally:
                client.execute(f"RENAME TABLE {own[0].name}.away TO {own[0].name}.statuses")
        expect(page.locator(".live")).to_have_text("Live")
        expect(page.locator("burn-grid .badge.ok").first).to_be_visible()


ASK_AGAIN = "dispatchEvent(new Event('refresh'))"


def test_gates_that_cannot_be_asked_are_not_open_any_more(look: Look, own: tuple[Database, Path]) -> None:
    with own[0].client() as client:
        now = datetime.now(UTC)
        row = story.status(("well", ""), {}, "well", 0.99, 30, now, [(now, 99_000, 5)], "r1")
        story.insert(client, "statuses", [{**row, "windows_good": [900] * 4, "windows_burn_rate": [0.0] * 4}])
    with look("/signals") as page:
        gate = page.get_by_role("table", name="Deploy gates").locator("tr", has_text="well")
        expect(gate.locator(".badge.ok")).to_have_text("Open")
        page.route("**/api/v1/gates", lambda route: route.abort())
        page.evaluate(ASK_AGAIN)
        expect(gate.locator(".badge")).to_have_text("Not known")
        expect(page.locator(".notice.past")).to_contain_text("What is shown was so")
        expect(page.get_by_role("table", name="Deploy gates").locator(".badge.ok")).to_have_count(0)
        page.unroute("**/api/v1/gates")
        page.evaluate(ASK_AGAIN)
        expect(gate.locator(".badge.ok")).to_have_text("Open")
        expect(page.locator(".notice")).to_have_count(0)


def test_what_alone_cannot_be_asked_again_is_said_to_be_old_where_it_stands(look: Look) -> None:
    with look("/slo/chat-errors?instance=region%3Dus-east") as page:
        expect(page.locator("#counts canvas")).to_be_visible()
        expect(page.locator(".marks li").first).to_be_visible()
        page.route("**/counts?*", lambda route: route.abort())
        page.route("**/marks?*", lambda route: route.abort())
        page.evaluate(ASK_AGAIN)
        expect(page.locator("#counts.is-past .notice")).to_contain_text("What is shown was so")
        expect(page.locator("#counts canvas")).to_be_visible()
        expect(page.locator(".card", has=page.locator(".marks")).locator(".notice")).to_be_visible()
        expect(page.locator(".notice")).to_have_count(2)
        expect(page.locator(".live")).to_have_text("Live")


def test_groups_that_the_stream_does_not_keep_up_are_old_when_they_cannot_be_asked(
    look: Look, own: tuple[Database, Path]
) -> None:
    judge(own[0], "region=eu-west", windows_burn_rate=[0.2] * 4)
    with look("/?group=service&slo=chat-errors") as page:
        row = page.locator("burn-grid tbody tr", has_text="eu-west")
        expect(row).to_contain_text("OK")
        page.route("**/api/v1/slos?*", lambda route: route.abort())
        judge(own[0], "region=eu-west", windows_burn_rate=[0.4] * 4)
        expect(row).to_contain_text("Was OK")
        expect(page.locator(".notice.past")).to_contain_text("What is shown was so")
        expect(page.locator(".live")).to_have_text("Live")


def test_a_fleet_that_nobody_judges_any_more_is_stale(
    browser: Any, clickhouse: EmbeddedClickHouse, tmp_path: Path
) -> None:
    database, files = Database(clickhouse), story.write_files(tmp_path)
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    with database.client() as client:
        row = story.status(("chat-errors", ""), {}, "chat", 0.999, 30, long_ago, [(long_ago, 99_000, 50)], "r1")
        story.insert(client, "statuses", [{**row, "judged_at": long_ago}])
        client.execute("DROP VIEW alert_log")
    with serving(database.settings(files)) as served, opened(browser, served.address) as page:
        expect(page.locator(".notice")).to_contain_text("Nothing has been judged for")
        expect(page.get_by_label("how many are open is not known")).to_have_text("?")
        expect(page.locator(FIRST)).to_contain_text("Stale")
        expect(page.locator("burn-grid .badge.ok")).to_have_count(0)
    database.drop()


def test_a_fleet_without_an_slo_says_what_to_do(browser: Any, clickhouse: EmbeddedClickHouse, tmp_path: Path) -> None:
    database = Database(clickhouse)
    with serving(database.settings(tmp_path)) as served, opened(browser, served.address) as page:
        expect(page.locator(".box.empty")).to_contain_text("burnline slo new")
        page.get_by_role("link", name="Alerts").click()
        expect(page.locator(".box.empty")).to_contain_text("No alerts")
        page.get_by_role("link", name="Pipeline").click()
        expect(page.locator(".verdict")).to_contain_text("Nothing has been judged yet")
    database.drop()


def test_a_token_is_asked_for_and_kept_in_the_tab(browser: Any, reading: Settings) -> None:
    with serving(reading, token="open sesame") as served, opened(browser, served.address) as page:
        expect(page.get_by_role("dialog")).to_contain_text("A token is needed")
        expect(page.locator("burn-grid")).to_have_count(0)
        page.get_by_role("textbox", name="Token").fill("open sesame")
        page.get_by_role("button", name="Go on").click()
        expect(page.locator(FIRST)).to_contain_text("Critical")
        expect(page.locator(".live")).to_have_text("Live")
        page.reload()
        expect(page.locator(FIRST)).to_contain_text("Critical")


def test_ten_thousand_rows_are_as_many_as_are_in_sight(look: Look, own: tuple[Database, Path]) -> None:
    with own[0].client() as client:
        story.tell_many(client, datetime.now(UTC), MANY)
    with look("/?service=many") as page:
        page.locator(FIRST).wait_for()
        shown_ms = page.evaluate("performance.getEntriesByName('rows-shown')[0].startTime")
        asked, told = page.evaluate(
            "(({requestStart, responseEnd}) => [requestStart, responseEnd])"
            "(performance.getEntriesByType('resource').find((each) => each.name.includes('/api/v1/slos?')))"
        )
        print(f"\nfirst rows of {MANY} after {shown_ms:.0f} ms: asked at {asked:.0f}, told at {told:.0f}")
        assert shown_ms < LOOSELY_MS
        expect(page.locator("burn-grid table")).to_have_attribute("aria-rowcount", str(MANY + 1))
        assert page.locator("burn-grid tbody tr[data-index]").count() < 60
        page.locator(FIRST).focus()
        page.keyboard.press("End")
        last = page.locator(f"burn-grid tr[data-index='{MANY - 1}']")
        expect(last).to_contain_text("tenant_id=")
        expect(last).to_be_focused()
        assert page.locator("burn-grid tbody tr[data-index]").count() < 60
