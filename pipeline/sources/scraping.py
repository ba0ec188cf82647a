"""Looks at engines: one request for the metrics of a replica, and the snapshot that comes of it, whatever happens.

Law: every look is a snapshot; one that failed says why, and that the replica is not ready.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from pipeline.sources.engines import Engine, Unreadable, all_engines, recognised, samples_of, snapshot_of
from pipeline.sources.scrape_targets import Target, Targets

ANSWER_BYTES = 8 << 20  #: of one exposition; the largest of an engine are below 1 MB
AT_ONCE = 64  #: looks under way
ERROR_CHARACTERS = 200
NOTHING = ("running", "waiting", "kv_usage", "finished", "output_tokens", "started_at", "oldest_inflight_ms")
OK = 200
TOKEN = re.compile(rb"[!-~]+")


def client_of(targets: Targets) -> httpx.AsyncClient:
    """One client for all looks. It follows no redirect and keeps no cookie: a token is for who it was given to."""
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    limits = httpx.Limits(max_connections=AT_ONCE)
    return httpx.AsyncClient(timeout=targets.timeout_s, limits=limits, cookies=no_cookies)


async def look_at_all(client: httpx.AsyncClient, targets: Sequence[Target], timeout_s: float) -> list[dict[str, Any]]:
    """Look at every replica; return columns of engine_snapshot in the order of targets."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(target: Target) -> dict[str, Any]:
        async with room:
            return await look(client, target, timeout_s)

    return await asyncio.gather(*map(one, targets))


async def look(client: httpx.AsyncClient, target: Target, timeout_s: float) -> dict[str, Any]:
    """Look at one replica.

    The timeout is for all of its answer: httpx' own begins anew with every byte. Reading it takes our own time, in a
    thread, so that answers of others need not wait for it: one that tells much would make them late.
    """
    error, seen = "", dict[str, Any]()
    engine = all_engines()[target.engine] if target.engine else None
    try:
        async with asyncio.timeout(timeout_s):
            text = await _answer(client, target, engine)
        seen = await asyncio.to_thread(_seen, engine, text)
    except TimeoutError:
        error = f"no answer within {timeout_s:g} s"
    except (httpx.HTTPError, httpx.InvalidURL, Unreadable, OSError) as failed:
        error = str(failed) or type(failed).__name__
    return _columns(target, seen, error, time.time_ns() // 1000)


def _seen(engine: Engine | None, text: str) -> dict[str, Any]:
    samples = samples_of(text)
    return snapshot_of(engine or recognised(samples), samples)


async def _answer(client: httpx.AsyncClient, target: Target, engine: Engine | None) -> str:
    """Fetch an exposition. Raises: httpx.HTTPError, Unreadable, OSError of a token's file."""
    hint = f": {engine.hint}" if engine else ""
    headers = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"}  # a few KB may inflate to GBs
    if target.token_file is not None:
        headers["Authorization"] = f"Bearer {_token(target.token_file)}"
    body = bytearray()
    async with client.stream("GET", url_of(target, engine), headers=headers) as response:
        if response.status_code != OK:
            raise Unreadable(f"answers with {response.status_code}{hint}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise Unreadable("answers compressed, though it is asked not to: look past what compresses in front of it")
        async for part in response.aiter_raw():
            body += part
            if len(body) > ANSWER_BYTES:
                raise Unreadable(f"answers with more than {ANSWER_BYTES >> 20} MB{hint}")
    return body.decode("utf-8", "replace")


def _token(file: Path) -> str:
    """Read a token. Raises: OSError, Unreadable: whoever refuses a header tells all of it, so no odd one is sent."""
    token = file.read_bytes().strip()
    if not TOKEN.fullmatch(token):
        raise Unreadable(f"{file} holds no token: it must be one word of ASCII")
    return token.decode("ascii")


def url_of(target: Target, engine: Engine | None) -> str:
    """Where a replica's metrics are: an address without a path has its engine's."""
    has_path = urlsplit(target.url).path not in {"", "/"}
    return target.url if has_path else target.url.rstrip("/") + (engine.path if engine else "/metrics")


def _columns(target: Target, seen: dict[str, Any], error: str, at_us: int) -> dict[str, Any]:
    blank: dict[str, Any] = {**dict.fromkeys(NOTHING), "engine": target.engine, "model": "", "ready": False}
    told = {**blank, **seen}
    return {
        **told, "snapshot_at": at_us, "endpoint_id": target.endpoint, "service": target.service,
        "model": target.model or told["model"], "region": target.region, "variant": target.variant,
        "accelerator": target.accelerator, "gpu_count": target.gpu_count,
        "gpu_hour_picousd": target.gpu_hour_picousd, "error": error[:ERROR_CHARACTERS],
    }  # fmt: skip
