"""What `burnline doctor` looks at of alert routes: the file, secrets, addresses, and whether receivers can be reached.

Nobody is told anything: a connection is opened and closed. `burnline alerts test-route --send` tells them, as a test.
"""

import socket
from collections.abc import Sequence

from pipeline.commands.findings import Finding
from pipeline.delivery.holding import Promised
from pipeline.delivery.requests import Sheet
from pipeline.delivery.routes import Receiver
from pipeline.settings import PREFIX, Settings, SettingsError

CHECK = "receivers"
WAIT_S = 3.0  #: for each


def check_receivers(settings: Settings) -> Finding:
    from pipeline.sinks.routes import routes_of
    from pipeline.spec import SpecError

    if not settings.has_receivers:
        return Finding(CHECK, True, "nobody is told of alerts", f"set {PREFIX}ALERT_ROUTES if somebody is to be told")
    try:
        routes = routes_of(settings)
    except SpecError as error:
        return Finding(CHECK, False, f"the alert routes cannot be used: {error}", "mend the file; the error says how")
    unusable = [why for each in routes.receivers if (why := _unusable(each))]
    if unusable:
        return Finding(CHECK, False, "; ".join(unusable), "make the file, readable by the user that runs workers")
    away = [why for each in routes.receivers if (why := _away(each, settings))]
    names = ", ".join(f"{each.name} ({each.type})" for each in routes.receivers)
    if away:
        return Finding(CHECK, True, "; ".join(away), "alerts wait for a receiver that is away, and are told later")
    return Finding(CHECK, True, f"{len(routes.receivers)} can be reached: {names}")


def _sheet(receiver: Receiver) -> Sheet:
    from pipeline.sinks.routes import sheet_of

    return sheet_of(receiver, Promised())


def _unusable(receiver: Receiver) -> str:
    """Why what it needs cannot be read; empty: it can."""
    try:
        _sheet(receiver)
    except SettingsError as error:
        return str(error)
    return ""


def _away(receiver: Receiver, settings: Settings) -> str:
    """Why it cannot be reached; empty: it can."""
    if receiver.topic:
        return _missing(receiver, settings)
    from pipeline.sinks.receivers import resolved
    from pipeline.sinks.targets import TargetRefused, checked_target

    try:
        target = checked_target(_sheet(receiver).address, resolved, receiver.allow)
    except (TargetRefused, OSError, UnicodeError) as error:
        return f"{receiver.name}: {error}"
    return _refusing(receiver.name, [(str(address), target.port) for address in target.addresses])


def _refusing(name: str, places: Sequence[tuple[str, int]]) -> str:
    for place in places:
        try:
            socket.create_connection(place, WAIT_S).close()
        except OSError as error:
            why = f"{name} does not answer at {place[0]} port {place[1]}: {error}"
        else:
            return ""
    return why


def _missing(receiver: Receiver, settings: Settings) -> str:
    from pipeline.topics import cluster

    is_there = receiver.topic in cluster(settings)[1].topics
    return "" if is_there else f"{receiver.name}: there is no topic {receiver.topic}"
