"""Tokens for SASL OAUTHBEARER: from a file, or from an OAuth 2 token endpoint by the client credentials grant.

Law: a token is asked for again when four fifths of its life are over, and by nobody in between, however many clients
ask. Both Kafka libraries get theirs here. No token and no secret is part of any message.
"""

import asyncio
import base64
import json
import threading
import time
from typing import Any, NamedTuple

import httpx
from aiokafka.abc import AbstractTokenProvider

from pipeline.settings import PREFIX, Settings, SettingsError, secret_in

TIMEOUT_S = 10.0
UNSTATED_LIFE_S = 300.0  #: of a token that does not say when it expires
FRESH_RATIO = 0.8  #: of its life


class CredentialsError(SettingsError):
    """No token can be had; the message says what to do."""


class Token(NamedTuple):
    """A bearer token; times in seconds since 1970."""

    value: str
    expires_s: float
    subject: str = ""


def read_token(value: str, now_s: float, life_s: float | None = None) -> Token:
    """Take what a token says of itself, unverified: that is the broker's work.

    A token that is no JWT lives for `life_s`.
    """
    claims: dict[str, Any] = {}
    parts = value.split(".")
    if len(parts) == 3:
        try:
            claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        except (ValueError, RecursionError):
            claims = {}
    expires = claims.get("exp") if isinstance(claims, dict) else None
    subject = claims.get("sub") if isinstance(claims, dict) else None
    stated = isinstance(expires, int | float)
    expires_s = float(expires or 0) if stated else now_s + (UNSTATED_LIFE_S if life_s is None else life_s)
    return Token(value, expires_s, str(subject or ""))


class TokenSource(AbstractTokenProvider):  # type: ignore[misc]
    """One user's tokens, for any number of clients and threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._lock = settings, threading.Lock()
        self._token: Token | None = None
        self._fresh_until_s = 0.0

    def current(self) -> Token:
        """Return a token that is still fresh; blocks while a new one is fetched.

        Raises: CredentialsError, SettingsError.
        """
        with self._lock:
            now_s = time.time()
            if self._token is None or now_s >= self._fresh_until_s:
                self._token = self._new(now_s)
                self._fresh_until_s = now_s + FRESH_RATIO * (self._token.expires_s - now_s)
            return self._token

    async def token(self) -> str:
        """What aiokafka asks for."""
        return (await asyncio.to_thread(self.current)).value

    def for_librdkafka(self, _: str) -> tuple[str, float, str, dict[str, str]]:
        """What librdkafka asks for: token, expiry, principal, extensions."""
        token = self.current()
        return token.value, token.expires_s, token.subject, {}

    def _new(self, now_s: float) -> Token:
        file = self._settings.kafka_sasl_token_file
        if file is None:
            return self._exchanged(now_s)
        token = read_token(secret_in(file, f"{PREFIX}KAFKA_SASL_TOKEN_FILE"), now_s)
        if token.expires_s <= now_s:
            raise CredentialsError(f"the token in {file} has expired: have it renewed ({PREFIX}KAFKA_SASL_TOKEN_FILE)")
        return token

    def _exchanged(self, now_s: float) -> Token:
        settings = self._settings
        form = {"grant_type": "client_credentials", "scope": settings.kafka_sasl_scope or ""}
        user, secret = settings.kafka_sasl_username or "", settings.secret("kafka_sasl_password")
        url, hint = settings.kafka_sasl_token_url or "", f"check {PREFIX}KAFKA_SASL_TOKEN_URL, its user and secret"
        try:
            answer = httpx.post(url, data={k: v for k, v in form.items() if v}, auth=(user, secret), timeout=TIMEOUT_S)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CredentialsError(f"no token endpoint answers ({type(error).__name__}): {hint}") from None
        if answer.status_code != httpx.codes.OK:
            raise CredentialsError(f"the token endpoint refuses with {answer.status_code}: {hint}")
        try:
            said = answer.json()
            return read_token(said["access_token"], now_s, float(said.get("expires_in", UNSTATED_LIFE_S)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise CredentialsError(f"the token endpoint's answer holds no access_token: {hint}") from None
