"""Context: what a notification may say beyond its alert, as far as it is known.

Pure. Of SLO files: what is promised, what to do when the budget is spent, who owns it. Of what was counted: who is hit
more than others, and what is new since before it began. Everything may be missing: a notification never waits for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from pipeline.delivery.words_figures import MOST_CHARACTERS, clean, line, quickly, share
from pipeline.spec.explanation import sentence
from pipeline.spec.slos import Slo
from pipeline.timeslices import parts

POLICY = "budget-policy"  #: annotation of an SLO: what its owners do when the budget is spent
MOST_HIT = 3
KNOBS_MOST = 3  #: of a change, as it is told
TITLE_CHARACTERS, URL_CHARACTERS = 120, 300
LIFT = 1.5  #: a group stands out when its share of what is bad is so many times its share of requests
LEAST_SHARE = 0.3  #: and is no less than this
LEAST_SLOWER = 1.5  #: or when its latency is so many times that of all


class Group(NamedTuple):
    """The requests of one value of a label, in the alert's window."""

    label: str
    value: str
    requests: int
    bad: int | None = None  # of those; None: it is not known, as of latencies
    p95_us: float | None = None  # of the latency that is promised
    is_rest: bool = False  # all values that are not asked for


class Change(NamedTuple):
    """Something that is new, or was changed."""

    at_us: int
    text: str


class Recorded(NamedTuple):
    """A change that somebody told of, as the view config_changes has it."""

    at_us: int
    kind: str  # DEPLOY, KNOB ..
    title: str
    knobs: Sequence[str] = ()  # in words
    actor: str = ""
    url: str | None = None
    scope: tuple[tuple[str, str], ...] = ()  # labels and values that it is limited to


@dataclass(frozen=True)
class Context:
    """All that is known beside the alert."""

    promise: str = ""  # 99 % of chat requests have ttft of at most 1s, over 30d
    description: str = ""
    policy: str = ""
    consequence: str = ""  # of missing the SLA
    owner: str = ""
    noun: str = "requests"  # what is counted: requests or slices
    parts: int = 1  # of how many one of them is made, see pipeline.timeslices
    is_counted: bool = False  # whether `hit` is known, though it be nobody
    hit: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


NOTHING = Context()


def of_slo(slo: Slo) -> Context:
    """What SLO files say."""
    noun = "requests" if slo.objective.timeslices is None else "slices"
    return Context(
        sentence(slo), slo.description, dict(slo.annotations).get(POLICY, ""), slo.sla.consequence if slo.sla else "",
        slo.owner, noun, parts(slo.objective),
    )  # fmt: skip


def seen(context: Context, groups: Iterable[Group], changes: Iterable[Change]) -> Context:
    """Add what was counted. Of groups of which nothing is measured nobody knows whether one stands out."""
    known = [group for group in groups if group.bad is not None or group.p95_us is not None]
    newest_first = tuple(sorted(changes, reverse=True))
    return replace(context, hit=most_hit(known), changes=newest_first, is_counted=bool(known))


def most_hit(groups: list[Group]) -> tuple[str, ...]:
    """Say which groups stand out, the worst first; a label with one value only says nothing."""
    found: list[tuple[float, str]] = []
    for label in dict.fromkeys(group.label for group in groups):
        own = [group for group in groups if group.label == label]
        if len(own) > 1:
            found += _standing_out(own)
    return tuple(text for _, text in sorted(found, key=lambda each: (-each[0], each[1]))[:MOST_HIT])


def _standing_out(own: list[Group]) -> list[tuple[float, str]]:
    if any(group.bad is not None for group in own):
        return _failing(own)
    return _slow(own)


def _failing(own: list[Group]) -> list[tuple[float, str]]:
    bad, requests = sum(group.bad or 0 for group in own), sum(group.requests for group in own)
    found = []
    for group in own:
        if group.is_rest or not bad or not group.bad or not requests:
            continue
        of_bad, of_requests = group.bad / bad, group.requests / requests
        if of_bad >= max(LEAST_SHARE, LIFT * of_requests):
            text = (
                f"{_named(group)}: {group.bad:,} of {bad:,} failures ({share(of_bad)}), "
                f"of {share(of_requests)} of the requests"
            )
            found.append((of_bad, text))
    return found


def _slow(own: list[Group]) -> list[tuple[float, str]]:
    known = {group: group.p95_us for group in own if group.p95_us is not None and group.requests}
    if len(known) < 2:
        return []
    found = []
    for group, p95_us in known.items():
        others = sorted(each for other, each in known.items() if other is not group)
        usual = others[len(others) // 2]
        if p95_us >= LEAST_SLOWER * usual:
            text = f"{_named(group)}: P95 of {quickly(p95_us)}, of others {quickly(usual)}"
            found.append((1 - usual / p95_us, text))
    return found


def _named(group: Group) -> str:
    return f"{group.label}={clean(group.value) or '(none)'}"


def change_of(told: Recorded) -> Change:
    """Say what somebody told of: what was done, to which knobs, where, by whom, and where to read more."""
    knobs = [line(each, MOST_CHARACTERS) for each in told.knobs[:KNOBS_MOST]]
    knobs += [f"{len(told.knobs) - KNOBS_MOST} knobs more"] if len(told.knobs) > KNOBS_MOST else []
    done = f" ({', '.join(knobs)})" if knobs else ""
    said = [f"{told.kind.lower()}: {line(told.title, TITLE_CHARACTERS)}{done}"]
    said += [f"only of {', '.join(f'{label}={clean(value)}' for label, value in told.scope)}"] if told.scope else []
    said += [f"by {line(told.actor, MOST_CHARACTERS)}"] if told.actor else []
    more = f" ({line(told.url, URL_CHARACTERS)})" if told.url else ""  # no full stop may touch it
    return Change(told.at_us, ", ".join(said) + more)


def first_seen(found: Mapping[tuple[str, str], int], since_us: int) -> tuple[Change, ...]:
    """Say which values of labels are new since a moment: (label, value) -> when it was first seen."""
    return tuple(
        Change(at_us, f"first requests of {label}={clean(value)}")
        for (label, value), at_us in sorted(found.items(), key=lambda each: each[1])
        if at_us >= since_us
    )
