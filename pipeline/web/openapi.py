"""The API's description: OpenAPI 3.1 out of the table of routes and the answers' own models.

Pure. Law: a parameter is described once, with the values that are taken.
"""

import json
import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Protocol, cast

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from pipeline.controls.signal import NAMES
from pipeline.standing import STANDINGS
from pipeline.web.answers import Fresh, Problem
from pipeline.web.answers_events import Away, LiveRows
from pipeline.web.changes import BODY_BYTES_MOST, KIND, PATH, Change, TakenChange
from pipeline.web.parameters import ALERT_STATES, KINDS, LIMIT, LIMIT_MOST, LIVE_MOST, SEVERITIES, SORTS

REF = "#/components/schemas/{model}"
IN_PATH = re.compile(r"\{(\w+)\}")
TEXT = {"type": "string", "maxLength": 1024}
TIME = "epoch seconds, ISO 8601, `now`, or relative to it, as -6h, -30m, -7d"
SORTED = [*SORTS, *(f"-{sort}" for sort in SORTS)]

#: name -> what it means, and its schema
PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "q": ("words, each of which is in the SLO's name, the instance, the service or a label", TEXT),
    "slo": ("name of an SLO", TEXT),
    "service": ("a service", TEXT),
    "name": (f"a signal: {', '.join(NAMES)}", TEXT),
    "label": ("a label and its value, as region:eu", {"type": "array", "items": {**TEXT, "pattern": "^[^:]+:"}}),
    "standing": (f"one or more of {', '.join(STANDINGS)}, comma separated", TEXT),
    "sort": ("what to order by; what is unknown comes last either way", {"type": "string", "enum": SORTED}),
    "group": ("slo, service, standing, or label: and a label's name", TEXT),
    "limit": ("rows of a page", {"type": "integer", "minimum": 1, "maximum": LIMIT_MOST, "default": LIMIT}),
    "cursor": ("next_cursor of the page before", TEXT),
    "trend": ("0: without trends", {"type": "string", "enum": ["0", "1"]}),
    "instance": ("an instance of the SLO, as a=x,b=y; its only one when left out", TEXT),
    "change": ("change_id of a mark", TEXT),
    "from": (f"beginning: {TIME}", TEXT),
    "to": (f"end: {TIME}", TEXT),
    "state": ("which alerts", {"type": "string", "enum": list(ALERT_STATES)}),
    "severity": ("the highest an alert had", {"type": "string", "enum": list(SEVERITIES)}),
    "kind": ("what an alert is about", {"type": "string", "enum": list(KINDS)}),
    "fired_at": ("when it fired, ISO 8601; the latest when left out", TEXT),
}
LIVE = ("q", "slo", "service", "label", "standing", "sort", "limit")


class Described(Protocol):
    """What the description asks of a route."""

    @property
    def path(self) -> str:
        """Under /api/v1."""

    @property
    def model(self) -> type[BaseModel]:
        """What it answers."""

    @property
    def summary(self) -> str:
        """In a line."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of PARAMETERS."""


def document(routes: Sequence[Described]) -> bytes:
    """Describe every route."""
    models = {route.model for route in routes} | {Problem, LiveRows, Fresh, Away, TakenChange}
    ordered = [(model, "serialization") for model in sorted(models, key=lambda model: model.__name__)]
    _, made = models_json_schema(cast(Any, [*ordered, (Change, "validation")]), ref_template=REF)
    paths: dict[str, Any] = {f"/api/v1{route.path}": {"get": _operation(route)} for route in routes}
    paths["/api/v1/live"] = {"get": _live()}
    paths["/api/v1/openapi.json"] = {"get": _itself()}
    paths[f"/api/v1{PATH}"] = {"post": _telling()}
    said = {
        "openapi": "3.1.0",
        "info": {
            "title": "Burnline",
            "version": version("burnline"),
            "summary": "SLOs, budgets, burn rates and alerts",
        },
        "security": [{}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": made["$defs"],
            "securitySchemes": {name: {"type": "http", "scheme": "bearer"} for name in ("bearer", "write")},
            "responses": {name: _problem(why) for name, why in PROBLEMS.items()},
        },
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


PROBLEMS = {
    "400": "a parameter cannot be used; `parameter` names it",
    "401": "a bearer token is needed",
    "404": "there is no such thing",
    "503": "ClickHouse does not answer, or too many ask; Retry-After says when to ask again",
}
UNTOLD = {
    "401": "the bearer token of BURNLINE_HTTP_WRITE_TOKEN_FILE is needed",
    "413": f"more than {BODY_BYTES_MOST} bytes",
    "415": "not application/json",
    "422": "it is no change; `errors` says of every field what is wrong",
    "501": "this site takes no changes; `detail` says why",
    "503": "Kafka does not take it; Retry-After says when to tell again",
}


def _problem(why: str) -> dict[str, Any]:
    schema = {"$ref": REF.format(model="Problem")}
    return {"description": why, "content": {"application/problem+json": {"schema": schema}}}


def _operation(route: Described) -> dict[str, Any]:
    return _get(
        route.summary, "_".join(part.strip("{}") for part in route.path.split("/") if part),
        [*(_in_path(name) for name in IN_PATH.findall(route.path)), *map(_in_query, route.parameters)],
        "application/json", {"$ref": REF.format(model=route.model.__name__)},
    )  # fmt: skip


def _get(summary: str, name: str, parameters: list[dict[str, Any]], kind: str, schema: Any) -> dict[str, Any]:
    answer = {"description": summary, "content": {kind: {"schema": schema}}}
    refused = {status: {"$ref": f"#/components/responses/{status}"} for status in PROBLEMS}
    unchanged = {"description": "what If-None-Match names still holds"}
    return {
        "operationId": name, "summary": summary, "parameters": parameters,
        "responses": {"200": answer, "304": unchanged, **refused},
    }  # fmt: skip


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(name: str) -> dict[str, Any]:
    why, schema = PARAMETERS[name]
    return {"name": name, "in": "query", "description": why, "schema": schema}


def _live() -> dict[str, Any]:
    events = {"rows": "LiveRows", "beat": "Fresh", "away": "Away"}
    said = ", ".join(f"`{name}` ({model})" for name, model in events.items())
    summary = f"Changes of the first rows of a list, as server-sent events: {said}"
    parameters = [_in_query(name) for name in LIVE]
    parameters[-1] |= {"schema": {**parameters[-1]["schema"], "maximum": LIVE_MOST}}
    return _get(summary, "live", parameters, "text/event-stream", {"type": "string"})


def _itself() -> dict[str, Any]:
    return _get("This description", "openapi", [], "application/json", {"type": "object"})


def _telling() -> dict[str, Any]:
    body, taken = ({KIND: {"schema": {"$ref": REF.format(model=each.__name__)}}} for each in (Change, TakenChange))
    summary = "Tell of a change: answered once the broker has it; the same change_id is the same change"
    return {
        "operationId": "tell_of_change", "summary": summary, "security": [{}, {"write": []}],
        "requestBody": {"required": True, "content": body},
        "responses": {"201": {"description": "Kafka has it", "content": taken}}
        | {status: _problem(why) for status, why in UNTOLD.items()},
    }  # fmt: skip
