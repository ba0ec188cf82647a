"""Receivers over HTTP: one thin client for all of them. What is sent, and what an answer means, is pipeline.delivery's.

Law: the connection goes to an address that was judged (pipeline.sinks.targets), under the name that was asked for;
redirects are not followed, proxies not used; an answer is read up to a limit, and everything has a deadline. What may
be sent for a while only is not begun to be sent afterwards, however long name and connection took.
"""

import asyncio
import math
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from pipeline.delivery.requests import Answer, Request
from pipeline.sinks.targets import PORTS, Address, Target, TargetRefused, checked_target

CONNECT_S, ANSWER_S = 5.0, 10.0  #: PagerDuty answers within 1 s; a webhook may do some work first
ALL_S = 20.0  #: of name, connection and answer together
ANSWER_BYTES = 64 << 10
KEPT_ALIVE = httpx.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=30.0)
AGENT = ("user-agent", "burnline")
PLAIN = ("accept-encoding", "identity")  #: what is small when it is sent could be large when it is unpacked


class Unreachable(RuntimeError):
    """Nobody answered, or nobody may be asked there; the message says why, without path or secret."""


@dataclass(frozen=True)
class Asked:
    """One request on its way; `until_s`: when it may be sent at the latest, of the monotonic clock."""

    method: str
    body: bytes
    headers: Sequence[tuple[str, str]]
    most_bytes: int = ANSWER_BYTES
    until_s: float = math.inf

    async def trace(self, step: str, facts: Any) -> None:
        """Stop in front of the first byte when it is too late. httpcore calls it at each step."""
        del facts
        if step.endswith("send_request_headers.started") and time.monotonic() > self.until_s:
            raise Unreachable("the way there took so long that somebody else may tell it by now")


class Caller:
    """Calls one receiver."""

    def __init__(self, allow: Sequence[str] = ()) -> None:
        """`allow`: networks that are fine though they are not public."""
        self._allow = tuple(allow)
        self._client = httpx.AsyncClient(
            verify=trusted(),
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            limits=KEPT_ALIVE,
            follow_redirects=False,
            trust_env=False,
        )

    async def post(self, request: Request, until_s: float = math.inf) -> Answer:
        """Send a request, not later than `until_s` of the monotonic clock.

        Raises: Unreachable.
        """
        return await self._call(request.url, Asked("POST", request.body, request.headers, until_s=until_s))

    async def get(self, url: str, headers: Sequence[tuple[str, str]] = (), most_bytes: int = 1 << 20) -> Answer:
        """Ask for something.

        Raises: Unreachable.
        """
        return await self._call(url, Asked("GET", b"", headers, most_bytes))

    async def close(self) -> None:
        await self._client.aclose()

    async def _call(self, url: str, asked: Asked) -> Answer:
        try:
            async with asyncio.timeout(ALL_S):
                target = await asyncio.to_thread(checked_target, url, resolved, self._allow)
                return await self._first_that_answers(target, asked)
        except TargetRefused as error:
            raise Unreachable(str(error)) from None
        except TimeoutError:
            raise Unreachable(f"no answer within {ALL_S:.0f} s") from None
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"its name has no address: {error}") from None

    async def _first_that_answers(self, target: Target, asked: Asked) -> Answer:
        for address in target.addresses:
            try:
                return await self._ask(target, address, asked)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise Unreachable(f"{target.host}: {type(error).__name__}: {error}") from None
        raise Unreachable(f"{target.host} port {target.port}: {failure}") from None

    async def _ask(self, target: Target, address: Address, asked: Asked) -> Answer:
        place = f"[{address}]" if address.version == 6 else str(address)
        host = f"[{target.host}]" if ":" in target.host else target.host
        named = host if target.port == PORTS[target.scheme] else f"{host}:{target.port}"
        url = f"{target.scheme}://{place}:{target.port}{target.path}"
        sent = [("host", named), AGENT, PLAIN, *asked.headers]
        extensions = {"sni_hostname": target.host, "trace": asked.trace}  # whose certificate it must be, and the above
        async with self._client.stream(
            asked.method, url, content=asked.body, headers=sent, extensions=extensions
        ) as response:
            said = b""
            async for part in response.aiter_raw(8192):
                said += part
                if len(said) > asked.most_bytes:
                    said = said[: asked.most_bytes]
                    break
            return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, said)


def trusted() -> ssl.SSLContext:
    """Return a context that trusts the system's authorities, or SSL_CERT_FILE's, and those that every browser does."""
    context = httpx.create_ssl_context()
    context.load_default_certs()
    return context


def resolved(host: str) -> list[str]:
    """Every address of a name. Blocking."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
