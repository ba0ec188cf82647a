"""Receivers over HTTP: one thin client for all of them. What is sent, and what an answer means, is pipeline.delivery's.

Law: the connection goes to an address that was judged (pipeline.sinks.targets), under the name that was asked for;
redirects are not followed, proxies not used; an answer is read up to a limit, and everything has a deadline.
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence

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

    async def post(self, request: Request) -> Answer:
        """Send a request.

        Raises: Unreachable.
        """
        return await self._call("POST", request.url, request.body, request.headers)

    async def get(self, url: str, headers: Sequence[tuple[str, str]] = (), most_bytes: int = 1 << 20) -> Answer:
        """Ask for something.

        Raises: Unreachable.
        """
        return await self._call("GET", url, b"", headers, most_bytes)

    async def close(self) -> None:
        await self._client.aclose()

    async def _call(
        self, method: str, url: str, body: bytes, headers: Sequence[tuple[str, str]], most_bytes: int = ANSWER_BYTES
    ) -> Answer:
        try:
            async with asyncio.timeout(ALL_S):
                target = await asyncio.to_thread(checked_target, url, resolved, self._allow)
                return await self._first_that_answers(target, method, body, headers, most_bytes)
        except TargetRefused as error:
            raise Unreachable(str(error)) from None
        except TimeoutError:
            raise Unreachable(f"no answer within {ALL_S:.0f} s") from None
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"its name has no address: {error}") from None

    async def _first_that_answers(
        self, target: Target, method: str, body: bytes, headers: Sequence[tuple[str, str]], most_bytes: int
    ) -> Answer:
        for address in target.addresses:
            try:
                return await self._ask(target, address, method, body, headers, most_bytes)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise Unreachable(f"{target.host}: {type(error).__name__}: {error}") from None
        raise Unreachable(f"{target.host} port {target.port}: {failure}") from None

    async def _ask(
        self,
        target: Target,
        address: Address,
        method: str,
        body: bytes,
        headers: Sequence[tuple[str, str]],
        most_bytes: int,
    ) -> Answer:
        place = f"[{address}]" if address.version == 6 else str(address)
        host = f"[{target.host}]" if ":" in target.host else target.host
        named = host if target.port == PORTS[target.scheme] else f"{host}:{target.port}"
        url = f"{target.scheme}://{place}:{target.port}{target.path}"
        sent = [("host", named), AGENT, PLAIN, *headers]
        extensions = {"sni_hostname": target.host}  # whose certificate it must be
        async with self._client.stream(method, url, content=body, headers=sent, extensions=extensions) as response:
            said = b""
            async for part in response.aiter_raw(8192):
                said += part
                if len(said) > most_bytes:
                    said = said[:most_bytes]
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
