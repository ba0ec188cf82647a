"""A Confluent-compatible schema registry: ids for what we write, schemas of what others wrote.

Asked once, before a worker starts: a fold never does I/O. Subjects are named after topics (TopicNameStrategy).
"""

import json
from collections.abc import Mapping
from typing import Any

import httpx

from pipeline.framing import Framing
from schemas import avro_text

TIMEOUT_S = 10.0
MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
NOT_FOUND = 404


class RegistryError(RuntimeError):
    """The registry cannot be used; the message says what to do."""


def framing(url: str, events_topic: str, outputs: Mapping[str, str]) -> Framing:
    """Register our output schemas, learn every version of the events' subject, and return the framing they make.

    `outputs`: topic -> schema name. Raises: RegistryError.
    """
    with httpx.Client(base_url=url, timeout=TIMEOUT_S, headers={"Content-Type": MEDIA_TYPE}) as client:
        ids = {name: _register(client, f"{topic}-value", avro_text(name)) for topic, name in outputs.items()}
        registered = {number: avro_text(name) for name, number in ids.items()}
        return Framing(ids, registered | _versions(client, f"{events_topic}-value"))


def _register(client: httpx.Client, subject: str, schema: str) -> int:
    return int(_asked(client, "POST", f"/subjects/{subject}/versions", {"schema": schema})["id"])


def _versions(client: httpx.Client, subject: str) -> dict[int, str]:
    """Every version of a subject, id -> schema; none when nobody has registered it."""
    found = _asked(client, "GET", f"/subjects/{subject}/versions", missing=[])
    versions = (_asked(client, "GET", f"/subjects/{subject}/versions/{number}") for number in found)
    return {int(version["id"]): version["schema"] for version in versions}


def _asked(client: httpx.Client, method: str, path: str, body: Any = None, missing: Any = None) -> Any:
    try:
        answer = client.request(method, path, content=json.dumps(body) if body is not None else None)
        if answer.status_code == NOT_FOUND and missing is not None:
            return missing
        answer.raise_for_status()
        return answer.json()
    except httpx.HTTPStatusError as error:
        said = error.response.text[:300]
        raise RegistryError(
            f"the schema registry refuses {method} {path} with {error.response.status_code}: {said}. Check the "
            "compatibility rule of the subject, and who may write to it"
        ) from error
    except (httpx.HTTPError, ValueError) as error:
        raise RegistryError(
            f"no schema registry answers at {client.base_url}: {error}. Set BURNLINE_SCHEMA_REGISTRY_URL, or unset it "
            "to use single-object framing"
        ) from error
