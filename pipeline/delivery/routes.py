"""Routes: which receivers an alert goes to, and what keeps it from going to anybody.

Pure. Routes are asked in their order; the first that fits takes an alert, and those behind it only where it says
`continue`. An inhibition holds back alerts of one thing while another, which explains them, is open.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.alerts import Kind, Severity
from pipeline.delivery.incidents import GroupingSpec
from pipeline.delivery.matching import Selection, is_match


@dataclass(frozen=True)
class Receiver:
    """One receiver, as the file has it."""

    name: str
    type: str  # of pipeline.delivery.receivers.TYPES
    url: str = ""
    url_file: Path | None = None  # an address that is a secret
    secret_file: Path | None = None  # routing key, signing key or bearer token, by its type
    topic: str = ""  # of a mirror
    grouping: GroupingSpec = GroupingSpec()  # noqa: RUF009 - frozen
    resend_us: int = 60_000_000  # of receivers that forget what is not repeated
    allow: tuple[str, ...] = ()  # networks that are fine though they are not public


@dataclass(frozen=True)
class Route:
    """Who is told of what."""

    receivers: tuple[str, ...]
    match: Selection = ()
    severities: tuple[Severity, ...] = ()  # empty: all
    kinds: tuple[Kind, ...] = ()
    goes_on: bool = False

    def fits(self, labels: Mapping[str, str], severity: Severity, kind: Kind) -> bool:
        fits = (not self.severities or severity in self.severities) and (not self.kinds or kind in self.kinds)
        return fits and is_match(self.match, labels)


@dataclass(frozen=True)
class Inhibition:
    """While an alert of `source` is open, those of `target` with equal labels are held back."""

    source: Selection
    target: Selection
    equal: tuple[str, ...] = ()


@dataclass(frozen=True)
class Routes:
    """All of a routes file."""

    receivers: tuple[Receiver, ...] = ()
    routes: tuple[Route, ...] = ()
    inhibitions: tuple[Inhibition, ...] = ()
    source: str = field(default="", compare=False)  # file, for messages

    def of(self, labels: Mapping[str, str], severity: Severity, kind: Kind) -> tuple[str, ...]:
        """Return the names of the receivers of an alert, each once."""
        found: dict[str, None] = {}
        for route in self.routes:
            if route.fits(labels, severity, kind):
                found |= dict.fromkeys(route.receivers)
                if not route.goes_on:
                    break
        return tuple(found)
