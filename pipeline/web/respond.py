"""Answers and refusals as HTTP: JSON with a weak ETag, or RFC 9457 problems that say what to do.

Law: an ETag is of what an answer says, not of when it was asked, so that what has not changed is not sent again.
"""

import re
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from math import ceil
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from pipeline.web.answers import Problem, iso

#: browsers may keep an answer, and ask whether it still holds
KEPT = {"Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
HEAD_BYTES = 300  #: what says when it was asked stands at the beginning of an answer
MOMENT = re.compile(rb'"(?:as_of|stale_s)":[^,}]*')
COMPRESSED_FROM_BYTES = 1024


def etag_of(body: bytes) -> str:
    """Name what an answer says, apart from its moment."""
    return sha256(MOMENT.sub(b"", body[:HEAD_BYTES]) + body[HEAD_BYTES:]).hexdigest()[:20]


def is_same(request: web.Request, etag: str) -> bool:
    """Whether the client has this already; comparison is weak."""
    said = request.headers.get("If-None-Match", "")
    return said.strip() == "*" or any(
        tag.strip().removeprefix("W/").strip('"') == etag for tag in said.split(",") if tag.strip()
    )


def answer(request: web.Request, said: BaseModel, as_of: datetime) -> web.Response:
    """Answer with a model, or with nothing when the client has it."""
    body = said.model_dump_json(by_alias=True).encode()
    etag = etag_of(body)
    headers = {**KEPT, "ETag": f'W/"{etag}"', "Burnline-As-Of": iso(as_of)}
    if is_same(request, etag):
        return web.Response(status=304, headers=headers)
    return sent(request, body, headers, "application/json")


def sent(request: web.Request, body: bytes, headers: dict[str, str], kind: str) -> web.Response:
    """Answer with bytes, compressed where the client can and it is worth it."""
    response = web.Response(body=body, headers={**headers, "Content-Type": kind})
    if len(body) >= COMPRESSED_FROM_BYTES and "gzip" in request.headers.get("Accept-Encoding", ""):
        response.enable_compression(web.ContentCoding.gzip)
    return response


def problem(status: int, detail: str, **more: Any) -> web.Response:
    """Refuse, and say what to do."""
    said = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, **more)
    headers = {"Cache-Control": "no-store"}
    if said.retry_after_s is not None:
        headers["Retry-After"] = str(ceil(said.retry_after_s))
    body = said.model_dump_json(exclude_none=True).encode()
    return web.Response(body=body, status=status, headers={**headers, "Content-Type": "application/problem+json"})
