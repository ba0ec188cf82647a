"""Route files: YAML to receivers, routes and inhibitions; or to problems, all of them at once.

Pure. The file is read as SLO files are: unknown keys, receivers nobody has, routes that nothing reaches are problems
with their place and a remedy. Secrets are names of files: an address that is one too.
"""

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.alerts import Kind
from pipeline.delivery.incidents import GroupingSpec
from pipeline.delivery.matching import Selection, kind_name
from pipeline.delivery.receivers import JOINING, TYPES
from pipeline.delivery.routes import Inhibition, Receiver, Route, Routes
from pipeline.spec import scalars, selectors
from pipeline.spec.document import Report, only_document
from pipeline.spec.problems import Problem, Refused, SpecError, shown
from pipeline.spec.reading import Field, Language, Reading, read
from pipeline.spec.scalars import listed, nearest, one_of

NONE = "none"  #: in the place of a receiver: nobody, on purpose
RECEIVERS_MOST, ROUTES_MOST = 50, 500

_KINDS = {kind_name(kind): kind for kind in Kind}
_kind = one_of(_KINDS)


def url(value: str) -> str:
    """Read an address; who may be called is decided when its name is resolved."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not value.isprintable() or " " in value:
        raise Refused("must be an address", "write https://host/path")
    if parts.username is not None or parts.password is not None:
        raise Refused("must hold no user or password", "put them into a file, and its name here")
    return value


def network(value: str) -> str:
    try:
        return str(ip_network(value, strict=True))
    except ValueError as error:
        raise Refused("must be a network", "write it as 10.0.0.0/8") from error


def file(value: str) -> Path:
    return Path(scalars.word(value))


def _conditions(prefix: str) -> dict[str, Field]:
    """Return the fields of a selection: values, or conditions, of labels."""
    operators = {f"{prefix}.*.{operator}": Field(scalars.text, many=True) for operator in selectors.OPERATORS}
    return {f"{prefix}.*": Field(scalars.text, many=True), **operators}


_R, _T = "receivers.#", "routes.#"
_SELECTIONS = (f"{_T}.match", "inhibit.#.source", "inhibit.#.target")
LANGUAGE = Language(
    fields={
        "apiVersion": Field(one_of(("burnline/v1",)), "write apiVersion: burnline/v1"),
        "kind": Field(one_of(("AlertRoutes",)), "write kind: AlertRoutes"),
        f"{_R}.name": Field(scalars.name, "write name: pager"),
        f"{_R}.alertmanager.url": Field(url, "write url: http://alertmanager:9093"),
        f"{_R}.alertmanager.tokenFile": Field(file),
        f"{_R}.alertmanager.resend": Field(scalars.window),
        f"{_R}.pagerduty.routingKeyFile": Field(file, "write routingKeyFile: /run/secrets/pagerduty"),
        f"{_R}.pagerduty.url": Field(url),
        f"{_R}.webhook.url": Field(url),
        f"{_R}.webhook.urlFile": Field(file),
        f"{_R}.webhook.secretFile": Field(file),
        f"{_R}.slack.urlFile": Field(file, "write urlFile: /run/secrets/slack; the address is a secret"),
        f"{_R}.otel.url": Field(url, "write url: http://collector:4318/v1/logs"),
        f"{_R}.otel.tokenFile": Field(file),
        f"{_R}.topic.name": Field(scalars.word, "write name: slo.alerts.json"),
        f"{_R}.groupBy": Field(scalars.word, many=True),
        f"{_R}.groupWait": Field(scalars.duration),
        f"{_R}.updateInterval": Field(scalars.duration),
        f"{_R}.allow": Field(network, many=True),
        f"{_T}.receivers": Field(scalars.name, "write receivers: [pager], or none", many=True),
        f"{_T}.severity": Field(scalars.severity, many=True),
        f"{_T}.kind": Field(_kind, many=True),
        f"{_T}.continue": Field(scalars.boolean),
        "inhibit.#.equal": Field(scalars.word, many=True),
        **{name: each for prefix in _SELECTIONS for name, each in _conditions(prefix).items()},
    },
    required={
        "receivers": "write receivers: [{name: pager, pagerduty: {routingKeyFile: FILE}}]",
        "routes": "write routes: [{receivers: [pager]}]",
        "inhibit.#.source": "write source: {slo: NAME}",
        "inhibit.#.target": "write target: {slo: NAME}",
    },
    keys=dict.fromkeys(_SELECTIONS, scalars.word),
    items_max={"receivers": RECEIVERS_MOST, "routes": ROUTES_MOST},
)


def parse(name: str, data: bytes) -> Routes:
    """Read a routes file.

    Raises: SpecError with every problem.
    """
    report = Report(name)
    found = Routes()
    if (node := only_document(data, report, "AlertRoutes")) is not None:
        reading = read(LANGUAGE, node, report)
        found = _built(reading, name)
        _check(reading, found)
    if report.problems:
        raise SpecError([replace(each, value=_without_secrets(each)) for each in report.all()])
    return found


def _without_secrets(problem: Problem) -> str:
    """Addresses, and what is written under a key that is none, may be secrets: `routingKey` for `routingKeyFile`."""
    is_unknown = problem.path.startswith("receivers[") and problem.rule == "is an unknown key"
    return "" if is_unknown or problem.path.endswith(".url") else problem.value


def _built(reading: Reading, name: str) -> Routes:
    counts = {branch: reading.lengths.get(branch, 0) for branch in ("receivers", "routes", "inhibit")}
    return Routes(
        tuple(_receiver(reading, f"receivers[{index}]") for index in range(counts["receivers"])),
        tuple(_route(reading, f"routes[{index}]") for index in range(counts["routes"])),
        tuple(_inhibition(reading, f"inhibit[{index}]") for index in range(counts["inhibit"])),
        name,
    )


def types_given(reading: Reading, path: str) -> list[str]:
    return [name for name in TYPES if reading.is_given(f"{path}.{name}")]


def _receiver(reading: Reading, path: str) -> Receiver:
    kind = next(iter(types_given(reading, path)), "webhook")

    def given(field: str) -> str:
        return f"{path}.{kind}.{field}"

    secrets = (reading.get(given(field)) for field in ("routingKeyFile", "secretFile", "tokenFile"))
    grouping, by = TYPES[kind].grouping, reading.get(f"{path}.groupBy")
    if by is not None:
        grouping = replace(GroupingSpec(), by=by, interval_us=60_000_000)
    grouping = GroupingSpec(
        grouping.by,
        reading.get(f"{path}.groupWait", grouping.wait_us),
        reading.get(f"{path}.updateInterval", grouping.interval_us),
    )
    return Receiver(
        name=reading.get(f"{path}.name", ""),
        type=kind,
        url=reading.get(given("url"), TYPES[kind].url),
        url_file=reading.get(given("urlFile")),
        secret_file=next((each for each in secrets if each is not None), None),
        topic=reading.get(given("name"), ""),
        grouping=grouping,
        resend_us=reading.get(given("resend"), Receiver.resend_us),
        allow=(*TYPES[kind].allow, *reading.get(f"{path}.allow", ())),
    )


def _route(reading: Reading, path: str) -> Route:
    return Route(
        tuple(name for name in reading.get(f"{path}.receivers", ()) if name != NONE),
        _selection(reading, f"{path}.match"),
        reading.get(f"{path}.severity", ()),
        tuple(_KINDS[each] for each in reading.get(f"{path}.kind", ())),
        reading.get(f"{path}.continue", False),
    )


def _inhibition(reading: Reading, path: str) -> Inhibition:
    source, target = (_selection(reading, f"{path}.{side}") for side in ("source", "target"))
    return Inhibition(source, target, reading.get(f"{path}.equal", ()))


def _selection(reading: Reading, path: str) -> Selection:
    return selectors.selected(reading, path)


# -- rules that need more than one field
def _check(reading: Reading, found: Routes) -> None:
    _check_receivers(reading, found)
    _check_routes(reading, found)
    for index in range(len(found.inhibitions)):
        for side in ("source", "target"):
            selectors.check_operators(reading, f"inhibit[{index}].{side}")


def _check_receivers(reading: Reading, found: Routes) -> None:
    seen: set[str] = set()
    for index, receiver in enumerate(found.receivers):
        path = f"receivers[{index}]"
        kinds = types_given(reading, path)
        if len(kinds) != 1 and not reading.is_incomplete:
            reading.refuse(path, f"must have exactly one of {listed(TYPES)}", "split it, or write one of them")
        if receiver.name and (receiver.name in seen or receiver.name == NONE):
            reading.refuse(f"{path}.name", "is taken", "give it a name of its own")
        seen.add(receiver.name)
        is_addressed = any(reading.is_given(f"{path}.webhook.{field}") for field in ("url", "urlFile"))
        if kinds == ["webhook"] and not is_addressed:
            reading.refuse(f"{path}.webhook", "has no address", "write url: https://host/path, or urlFile: FILE")
        for field in ("groupBy", "groupWait", "updateInterval"):
            if reading.is_given(f"{path}.{field}") and not set(kinds) <= set(JOINING):
                rule = f"must not be given: {listed(kinds)} is told of each alert by itself"
                reading.refuse(f"{path}.{field}", rule, "remove it")


def _check_routes(reading: Reading, found: Routes) -> None:
    names = {receiver.name for receiver in found.receivers}
    for index in range(len(found.routes)):
        path = f"routes[{index}]"
        selectors.check_operators(reading, f"{path}.match")
        value = reading.values.get(f"{path}.receivers")
        for item in value.items if value else ():
            if item.value not in names and item.value != NONE:
                meant = nearest(item.value, names)
                remedy = f"did you mean {meant}?" if meant else f"receivers are {listed(sorted(names))}"
                reading.refuse(item.path, "is no receiver of this file", remedy, item.place, shown(item.text))
        takes_all = not any(reading.is_given(f"{path}.{field}") for field in ("match", "severity", "kind", "continue"))
        is_last = index == len(found.routes) - 1
        if is_last and not takes_all and reading.is_given(path):
            rule = "must take what is left: no match, severity, kind or continue"
            reading.refuse(path, rule, "add a last route `- receivers: [..]`, or `- receivers: none`", value="{…}")
        if takes_all and not is_last:
            reading.refuse(path, "takes everything: no route behind it is reached", "move it to the end", value="{…}")
    used = {name for route in found.routes for name in route.receivers}
    for index, receiver in enumerate(found.receivers):
        if receiver.name and receiver.name not in used and used <= names and found.routes:
            reading.refuse(f"receivers[{index}].name", "is in no route", "add it to one, or remove it")
