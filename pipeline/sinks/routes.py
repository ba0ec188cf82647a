"""Where routes come from: the routes file, or without one the receivers that settings name; and what they need to know.

Secrets and addresses that are secrets stay in their files until something is sent.
"""

from pathlib import Path

from pipeline.alerts import Severity
from pipeline.delivery.holding import Promised
from pipeline.delivery.receivers import TYPES
from pipeline.delivery.requests import Sheet
from pipeline.delivery.route_files import network, parse, url
from pipeline.delivery.routes import Receiver, Route, Routes
from pipeline.settings import PREFIX, Settings, SettingsError, secret_in
from pipeline.spec import SloSet
from pipeline.spec.document import BYTES_MAX
from pipeline.spec.problems import Refused


def routes_of(settings: Settings) -> Routes:
    """Return the routes in force.

    Raises: SpecError with every problem of the file, SettingsError for a file or an address that cannot be used.
    """
    if settings.alert_routes is not None:
        return _from_file(settings.alert_routes)
    allow, key_file = _allowed(settings), settings.pagerduty_routing_key_file
    receivers = [
        _receiver("alertmanager", settings.alertmanager_url, None, allow),
        _receiver("pagerduty", TYPES["pagerduty"].url if key_file else None, key_file, allow),
        _receiver("webhook", settings.webhook_url, settings.webhook_secret_file, allow),
    ]
    known = tuple(each for each in receivers if each is not None)
    names = tuple(each.name for each in known)
    paged, told = (tuple(name for name in names if (name == "pagerduty") is is_pager) for is_pager in (True, False))
    pages = Route(paged, severities=(Severity.WARNING, Severity.CRITICAL), goes_on=True)
    rest = Route(told)
    return Routes(known, (pages, rest))


def _from_file(path: Path) -> Routes:
    try:
        with path.open("rb") as stream:
            return parse(str(path), stream.read(BYTES_MAX + 1))
    except OSError as error:
        raise SettingsError(f"{PREFIX}ALERT_ROUTES: {path} cannot be read: {error.strerror}") from None


def _allowed(settings: Settings) -> tuple[str, ...]:
    texts = [text.strip() for text in settings.receivers_allow.split(",")]
    try:
        return tuple(network(text) for text in texts if text)
    except Refused as refused:
        raise SettingsError(f"{PREFIX}RECEIVERS_ALLOW {refused.rule}: {refused.remedy}") from None


def _receiver(kind: str, address: str | None, secret_file: Path | None, allow: tuple[str, ...]) -> Receiver | None:
    if address is None:
        return None
    try:
        url(address)
    except Refused as refused:
        raise SettingsError(f"{PREFIX}{kind.upper()}_URL {refused.rule}: {refused.remedy}") from None
    known = TYPES[kind]
    return Receiver(kind, kind, address, secret_file=secret_file, grouping=known.grouping, allow=(*known.allow, *allow))


def promised(slos: SloSet) -> Promised:
    """What routes and inhibitions need of SLO files."""
    labels = {name: dict(slo.labels) for name, slo in slos.told.items()}
    composites: dict[str, set[str]] = {}
    for composite in slos.composites:
        for member in composite.members:
            composites.setdefault(member.ref, set()).add(composite.name)
    return Promised(labels, {name: frozenset(of) for name, of in composites.items()})


def sheet_of(receiver: Receiver, known: Promised, site: str = "") -> Sheet:
    """What a receiver's form needs, with today's address and secret.

    Raises: SettingsError.
    """
    address, secret = receiver.url, ""
    if receiver.url_file is not None:
        address = secret_in(receiver.url_file, f"address of receiver {receiver.name}")
    if receiver.secret_file is not None:
        secret = secret_in(receiver.secret_file, f"secret of receiver {receiver.name}")
    return Sheet(receiver, address, secret, known, site)
