"""The page's files: what lies in the package, under its own name, and nothing else."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from pipeline.web.files import HOME, KINDS, POLICY, Files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "page"
    (home / "vendor").mkdir(parents=True)
    (home / "index.html").write_text("<!doctype html><title>Burnline</title>" + "x" * 2_000)
    (home / "app.js").write_text("export {}")
    (home / "vendor" / "chart.js").write_text("export {}")
    (home / "secret.py").write_text("password")
    (tmp_path / "outside.js").write_text("password")
    (home / "link.js").symlink_to(tmp_path / "outside.js")
    return home


def ask(home: Path, path: str, **headers: str) -> httpx.Response:
    files = Files(home)

    async def answer(request: web.Request) -> web.StreamResponse:
        found = files.find(request.rel_url.raw_path)
        return found.response(request) if found else web.Response(status=404)

    async def run() -> httpx.Response:
        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            async with httpx.AsyncClient() as client:
                return await client.get(f"http://127.0.0.1:{runner.addresses[0][1]}{path}", headers=headers)
        finally:
            await runner.cleanup()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"), ("/index.html", "text/html"), ("/alerts", "text/html"), ("/signals", "text/html"),
        ("/pipeline", "text/html"), ("/slo/chat-ttft", "text/html"), ("/slo/a%2Fb%20c", "text/html"),
        ("/app.js", "text/javascript"), ("/vendor/chart.js", "text/javascript"),
    ],
)  # fmt: skip
def test_a_path_names_a_file_or_a_view(folder: Path, path: str, kind: str) -> None:
    response = ask(folder, path)
    assert response.status_code == 200
    assert response.headers["content-type"] == f"{kind}; charset=utf-8"
    assert response.headers["content-security-policy"] == POLICY


NOT_SERVED = [
    "/secret.py", "/link.js", "/outside.js", "/../outside.js", "/..%2foutside.js", "/%2e%2e/outside.js", "/vendor",
    "/vendor/", "/vendor/..%2fapp.js", "//app.js", "/app.js/", "/APP.JS", "/slo/", "/slo/a/b", "/slo", "/app.js%00",
]  # fmt: skip


@pytest.mark.parametrize("path", NOT_SERVED)
def test_no_path_leads_anywhere_else(folder: Path, path: str) -> None:
    assert Files(folder).find(path) is None


def test_a_file_is_packed_and_not_sent_twice(folder: Path) -> None:
    first = ask(folder, "/", **{"Accept-Encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip" and first.text.startswith("<!doctype html>")
    again = ask(folder, "/", **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "content-encoding" not in ask(folder, "/", **{"Accept-Encoding": "identity"}).headers


def test_everything_in_the_package_can_be_served() -> None:
    lying: list[Any] = [each for each in HOME.rglob("*") if each.is_file()]
    files = Files()
    assert {each.suffix for each in lying} <= set(KINDS) | {""}
    assert all(files.find(f"/{each.relative_to(HOME).as_posix()}") for each in lying if each.suffix in KINDS)
