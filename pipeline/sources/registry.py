"""A Confluent-compatible schema registry: ids for what we write, schemas of what others wrote.

Asked once, before a worker starts: a fold never does I/O. Subjects are named after topics (TopicNameStrategy).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import httpx

from pipeline.framing import Framing
from schemas import avro_text

TIMEOUT_S = 10.0
MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
NOT_FOUND = 404
VARIABLE = "BURNLINE_SCHEMA_REGISTRY_URL"
ANSWER_BYTES = 4 << 20  #: of one answer; the largest schema of ours is 16 KB
VERSIONS_MOST = 1_000  #: each is a question of its own, and a decoder
ID_END = 1 << 32


class RegistryError(RuntimeError):
    """The registry cannot be used; the message says what to do."""


def framing(url: str, events_topic: str, outputs: Mapping[str, str], others: Iterable[str] = ()) -> Framing:
    """Register our output schemas, learn every version of the events' subject, and return the framing they make.

    `outputs`: topic -> schema name. `others`: topics that somebody else writes too, whose versions are learnt as well.
    Raises: RegistryError, whatever the registry answers.
    """
    with _client(url) as client:
        ids = {name: _register(client, f"{topic}-value", avro_text(name)) for topic, name in outputs.items()}
        registered = {number: avro_text(name) for name, number in ids.items()}
        for topic in (events_topic, *others):
            registered |= _versions(client, f"{topic}-value")
        return Framing(ids, registered)


def newest(url: str, topics: Iterable[str]) -> dict[str, str | None]:
    """The newest schema of each topic's subject; None where nobody has registered one. Nothing is registered.

    Raises: RegistryError.
    """
    with _client(url) as client:
        return {topic: _newest(client, f"/subjects/{topic}-value/versions/latest") for topic in topics}


def _newest(client: httpx.Client, path: str) -> str | None:
    found = _asked(client, "GET", path, missing={})
    if found == {}:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("schema"), str):
        raise _nonsense(path, "a schema")
    schema: str = found["schema"]
    return schema


def _client(url: str) -> httpx.Client:
    try:
        return httpx.Client(base_url=url, timeout=TIMEOUT_S, headers={"Content-Type": MEDIA_TYPE})  # no redirects
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise RegistryError(f"BURNLINE_SCHEMA_REGISTRY_URL is no address: {type(error).__name__}") from None


def _register(client: httpx.Client, subject: str, schema: str) -> int:
    path = f"/subjects/{subject}/versions"
    return _id(_asked(client, "POST", path, {"schema": schema}), path)


def _versions(client: httpx.Client, subject: str) -> dict[int, str]:
    """Every version of a subject, id -> schema; none when nobody has registered it."""
    path = f"/subjects/{subject}/versions"
    found = _asked(client, "GET", path, missing=[])
    if not isinstance(found, list) or len(found) > VERSIONS_MOST or not all(_is_number(number) for number in found):
        raise _nonsense(path, f"a list of at most {VERSIONS_MOST} numbers")
    schemas = {}
    for number in found:
        version = _asked(client, "GET", f"{path}/{number}")
        if not isinstance(version, dict) or not isinstance(version.get("schema"), str):
            raise _nonsense(path, "a schema")
        schemas[_id(version, path)] = version["schema"]
    return schemas


def _id(answer: Any, path: str) -> int:
    """The schema id in an answer: four bytes of every record's frame."""
    number = answer.get("id") if isinstance(answer, dict) else None
    if not _is_number(number):
        raise _nonsense(path, "an id")
    return number


def _is_number(found: Any) -> TypeGuard[int]:
    return isinstance(found, int) and not isinstance(found, bool) and 0 <= found < ID_END


def _nonsense(path: str, wanted: str) -> RegistryError:
    return RegistryError(f"the schema registry's answer to {path} is not {wanted}: is {VARIABLE} a schema registry's?")


def _asked(client: httpx.Client, method: str, path: str, body: Any = None, missing: Any = None) -> Any:
    try:
        content = json.dumps(body) if body is not None else None
        with client.stream(method, path, content=content) as answer:
            text = _read(answer)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RegistryError(
            f"no schema registry answers at {_place(client)}: {error}. Set {VARIABLE}, or unset it to use "
            "single-object framing"
        ) from error
    if answer.status_code == NOT_FOUND and missing is not None:
        return missing
    if not answer.is_success:
        said = "".join(char if char.isprintable() else "?" for char in text[:300].decode("utf-8", "replace"))
        raise RegistryError(
            f"the schema registry refuses {method} {path} with {answer.status_code}: {said}. Check the "
            "compatibility rule of the subject, and who may write to it"
        )
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _nonsense(path, "JSON") from None


def _read(answer: httpx.Response) -> bytes:
    """Read an answer, never more of it than an answer has.

    Raises: RegistryError.
    """
    found = bytearray()
    for piece in answer.iter_bytes(1 << 16):
        found += piece
        if len(found) > ANSWER_BYTES:
            raise RegistryError(
                f"the schema registry answers with more than {ANSWER_BYTES >> 20} MiB: is {VARIABLE} one's?"
            )
    return bytes(found)


def _place(client: httpx.Client) -> str:
    """The registry's address, without the password that it may hold."""
    return str(client.base_url.copy_with(username=None, password=None))
