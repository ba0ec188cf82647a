"""What a receiver believes, told one notification after the other; and what is true, told one event after the other."""

from dataclasses import dataclass, field

from pipeline.alerts import Notice, Severity
from pipeline.delivery.notification import Action, AlertEvent, Notification


@dataclass
class Believed:
    """A receiver with PagerDuty's rules: a trigger opens, one more of the same key changes, a resolve closes."""

    open: dict[str, set[str]] = field(default_factory=dict)  # incident -> alerts
    severity: dict[str, Severity] = field(default_factory=dict)
    pages: int = 0
    seen: set[str] = field(default_factory=set)
    has_doubts: bool = False  # somebody died: a key may be triggered again, and one that never was may be resolved

    def hear(self, said: Notification) -> None:
        """Take one notification; one that was heard before changes nothing."""
        if said.id in self.seen:
            return
        self.seen.add(said.id)
        is_open = said.key in self.open
        if not self.has_doubts:
            assert is_open is (said.action is not Action.TRIGGER), said
            assert said.was == self.severity.get(said.key, Severity.NONE)
        assert bool(said.open) is (said.action is not Action.RESOLVE)
        self.pages += said.action is Action.TRIGGER and not is_open
        if said.action is Action.RESOLVE:
            self.open.pop(said.key, None)
            self.severity.pop(said.key, None)
        else:
            self.open[said.key] = {event.dedup_key for event in said.open}
            self.severity[said.key] = max(event.severity for event in said.open)


def true(events: list[AlertEvent]) -> dict[str, Severity]:
    """Open alerts and how grave they are."""
    found: dict[str, Severity] = {}
    for event in events:
        if event.event is Notice.RESOLVED:
            found.pop(event.dedup_key, None)
        else:
            found[event.dedup_key] = event.severity
    return found


def pages(bodies: list[dict[str, str]]) -> dict[str, tuple[bool, int]]:
    """PagerDuty's rules over the bodies that it was sent: by dedup key, whether it is open and how often it paged."""
    found: dict[str, tuple[bool, int]] = {}
    for body in bodies:
        is_open, count = found.get(body["dedup_key"], (False, 0))
        opens = body["event_action"] == "trigger"
        found[body["dedup_key"]] = opens, count + (opens and not is_open)
    return found
