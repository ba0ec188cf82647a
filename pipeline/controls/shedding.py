"""Load shedding as advice: when a class burns, classes that are worth less are shed first, and by how much.

One signal `shed` of a service and a model says how many classes are shed, and one of each class the share of it: for
routers and gateways to obey, or not. Laws: an advice expires, and nobody is shed on one that has. What is stale is not
advised on: the last advice is left to expire. What is shed is told beside compliance, and so is what compliance is at
least when every shed request is bad: shedding improves nothing silently. Pure; the limit is that of
`pipeline.controls.limiter`, restored from the signal that was published last.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.controls import class_facts
from pipeline.controls.class_facts import ClassFacts, Key, Load, Situation, cut_above, situations
from pipeline.controls.classes import DEFAULT, ClassRule, ServiceClass
from pipeline.controls.limiter import Limit, LimitSpec, burning_class, next_limit, shed_shares
from pipeline.controls.questions import Question, Rows, files, sql_of
from pipeline.controls.signal import Signal, check_life, every, key_of, unknown
from pipeline.sli import METRICS, OF_SLICES, Kind
from pipeline.slo import PART, Objective
from pipeline.spec.problems import Refused
from pipeline.spec.scalars import listed

NAME = "shed"
OK, WARN, SHED, ADMIT = "ok", "warn", "shed", "admit"  #: states; those of a class are admit and shed
#: whom of a class that is shed in part: anybody; tenants of the tier of least worth; who waited longest; who costs most
PRIORITY, TIER, QUEUE_AGE, COST = POLICIES = ("priority", "tier", "queue_age", "cost")
CELL_S = 10
MAKES_CLASSES = ("priority_class", "objective")
#: what says nothing of whether there is enough for a class, or is made of what was shed
UNHEARD = (*OF_SLICES, Kind.RUNNING, Kind.ATTEMPT, Kind.SHED)
STEPS = 100  #: shares are told in hundredths, rounded up
PRIORITY_FROM = {"sheddable": 0, "standard": 1}  #: "shed below this priority" takes in these


@dataclass(frozen=True)
class Tier:
    """Tenants of equal worth."""

    name: str
    tenants: tuple[str, ...]


@dataclass(frozen=True)
class SheddingSpec:
    """Classes, when one burns, and whom of a class it meets."""

    every_s: float = 5.0
    ttl_s: float = 60.0
    window_s: float = 20.0  # the last seconds
    stale_s: float = 30.0
    split_s: float = 300.0  # over which the events that are kept say how a priority splits into objectives
    output_work: float = 4.0  # work of an output token, where one of input is 1: about what it takes in a full batch
    policy: str = PRIORITY
    limit: LimitSpec = LimitSpec()  # noqa: RUF009 - frozen
    tiers: tuple[Tier, ...] = ()  # of least worth first; whoever is in none is shed last
    classes: tuple[ClassRule, ...] = DEFAULT

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise Refused("policy must say whom of a class it meets", f"write policy: {listed(POLICIES)}")
        if self.policy == TIER and not self.tiers:
            raise Refused("policy tier needs tiers", "write tiers: [{name: free, tenants: [..]}], of least worth first")
        if self.window_s % CELL_S or not self.window_s:
            raise Refused("window must be a multiple of 10 s, as counts are stored", "write window: 20s")
        check_life(self.every_s, self.ttl_s)


@dataclass(frozen=True)
class Advice:
    """What was decided for a service and a model."""

    limit: Limit
    shares: Mapping[ServiceClass, float]
    works: Mapping[ServiceClass, float]  # what each class offers, a second
    burning: ServiceClass | None
    request_work: Mapping[ServiceClass, float]

    @property
    def shed(self) -> list[ServiceClass]:
        return [each for each, share in sorted(self.shares.items()) if share]

    @property
    def state(self) -> str:
        return SHED if self.shed else OK if self.limit.work_s is None and self.burning is None else WARN


def ask(spec: SheddingSpec, objectives: Sequence[Objective], now_us: int) -> list[Question]:
    """Ask of SLOs that can speak for a class: of events, and grouped by or pinned to what makes classes."""
    named = {slo for rule in spec.classes for slo in rule.slo}
    mine = [each for each in objectives if _speaks(each) or (_counts_events(each) and each.name in named)]
    pinned = {name: [_pinned(each, name) for each in mine] for name in (*MAKES_CLASSES, "request_model")}
    slos = {
        "slos": [each.name for each in mine], "priority_classes": pinned["priority_class"],
        "objectives": pinned["objective"], "models": pinned["request_model"], "window_s": spec.window_s,
    }  # fmt: skip
    others = files(class_facts.LOAD, class_facts.SPLIT, class_facts.ENDPOINTS)(spec, objectives, now_us)
    return [Question(class_facts.PROMISES, sql_of(f"controls/{class_facts.PROMISES}"), slos), *others] if mine else []


def _counts_events(objective: Objective) -> bool:
    """Whether it counts requests that fared well or badly; of slices of time nobody knows which were bad."""
    kind = METRICS[objective.indicator.metric].kind
    return objective.timeslices is None and kind not in UNHEARD and PART not in objective.name


def _speaks(objective: Objective) -> bool:
    indicator = objective.indicator
    return _counts_events(objective) and any(
        name in indicator.group_by or _pinned(objective, name) for name in MAKES_CLASSES
    )


def _pinned(objective: Objective, name: str) -> str:
    accepted = dict(objective.indicator.where).get(name)
    return accepted[0] if isinstance(accepted, tuple) and len(accepted) == 1 else ""


def step(spec: SheddingSpec, previous: Mapping[str, Signal], rows: Rows, now_us: int) -> list[Signal]:
    """Advise for every service and model of which a class has a promise."""
    signals: list[Signal] = []
    if class_facts.PROMISES not in rows:
        return signals  # no SLO speaks for a class
    for place, situation in sorted(situations(spec.classes, rows, spec.window_s).items()):
        if now_us - situation.known_until_us > spec.stale_s * 1e6:
            signals += _stale(spec, previous, place, now_us)
            continue
        advice = advise(spec, previous, place, situation, now_us)
        about = (spec, place, situation, advice)
        signals += every(lambda each: _signal(*each, now_us), [about])
        signals += every(
            lambda each: _class_signal(*each, now_us), [(*about, one) for one in sorted(situation.classes)]
        )
    return signals


def _stale(spec: SheddingSpec, previous: Mapping[str, Signal], place: Key, now_us: int) -> list[Signal]:
    last = previous.get(key_of(*place, NAME))
    if last is not None and not last.is_expired(now_us) and last.is_known:
        return []
    reason = "nothing is known of the last moments: nobody is to be shed on what was"
    return [unknown(NAME, *place, reason, now_us, spec.ttl_s)]


def advise(spec: SheddingSpec, previous: Mapping[str, Signal], place: Key, situation: Situation, now_us: int) -> Advice:
    """Decide how much of each class is shed."""
    last = _limit_of(previous.get(key_of(*place, NAME)), now_us)
    mean = _request_work(previous, place, situation)
    works = {each: facts.load.requests / situation.window_s * mean[each] for each, facts in situation.classes.items()}
    overall = _ratio(sum(f.load.work for f in situation.classes.values()),
                     sum(f.load.served for f in situation.classes.values()))  # fmt: skip
    capacity = _capacity(previous, place[0], situation, now_us)
    in_work = None if capacity is None or overall is None else capacity * overall
    limit = next_limit(spec.limit, last, situation, works, in_work, now_us)
    shares = {each: math.ceil(share * STEPS) / STEPS for each, share in shed_shares(limit.work_s, works).items()}
    touched = [each for each in ServiceClass if shares.get(each) or each == limit.touched]
    limit = replace(limit, touched=min(touched, default=None))
    return Advice(limit, shares, works, burning_class(spec.limit, last, situation), mean)


def _request_work(previous: Mapping[str, Signal], place: Key, situation: Situation) -> dict[ServiceClass, float]:
    """Work of a request of each class: as served now, else as it was served last, else as of all."""
    loads = [facts.load for facts in situation.classes.values()]
    overall = _ratio(sum(load.work for load in loads), sum(load.served for load in loads)) or 1.0
    found = {}
    for each, facts in situation.classes.items():
        before = previous.get(key_of(*place, NAME, each.name))
        remembered = before.inputs.get("request_work") if before else None
        found[each] = _ratio(facts.load.work, facts.load.served) or remembered or overall
    return found


def _capacity(previous: Mapping[str, Signal], service: str, situation: Situation, now_us: int) -> float | None:
    """Requests a second that keep every objective, where that is measured of every variant."""
    found = []
    for (model, variant), endpoints in situation.endpoints.items():
        signal = previous.get(key_of(service, model, "capacity", variant))
        if signal is None or signal.is_expired(now_us) or signal.state != "measured":
            return None
        found.append(endpoints * signal.inputs.get("rps_per_endpoint", math.inf))
    total = sum(found)
    return total if found and math.isfinite(total) else None


# -- state: all of it is in the signal
def _limit_of(signal: Signal | None, now_us: int) -> Limit:
    if signal is None or signal.is_expired(now_us) or "limit" not in signal.details:
        return Limit()
    told = signal.details
    return Limit(
        float(told["limit"]),
        float(told["burned_at"]) if told["burned_at"] else None,
        int(told["changed_at"]),
        int(told["calm_since"]) if told["calm_since"] else None,
        ServiceClass[told["touched"]] if told["touched"] else None,
    )


def _told(limit: Limit) -> dict[str, str]:
    """What `_limit_of` reads; work a second, and microseconds of the epoch."""
    if limit.work_s is None:
        return {}
    return {
        "limit": repr(limit.work_s), "burned_at": "" if limit.burned_s is None else repr(limit.burned_s),
        "changed_at": str(limit.changed_us),
        "calm_since": "" if limit.calm_since_us is None else str(limit.calm_since_us),
        "touched": "" if limit.touched is None else limit.touched.name,
    }  # fmt: skip


# -- signals
def _signal(spec: SheddingSpec, place: Key, situation: Situation, advice: Advice, now_us: int) -> Signal:
    facts = situation.classes
    requests, shed = (sum(getattr(each.load, name) for each in facts.values()) for name in ("requests", "shed"))
    inputs = {"offered_work_s": sum(advice.works.values()), "offered_rps": requests / situation.window_s}
    if requests:
        inputs["shed_ratio"] = shed / requests
    if advice.limit.work_s is not None:
        inputs["limit_work_s"] = advice.limit.work_s
    return Signal(
        service=place[0], model=place[1], name=NAME, scope="", state=advice.state, value=float(len(advice.shed)),
        unit="classes", reason=_reason(situation, advice), evaluated_at_us=now_us,
        expires_at_us=now_us + round(spec.ttl_s * 1e6), watermark_us=situation.known_until_us,
        window_s=round(situation.window_s), samples=round(requests), inputs=inputs,
        details={
            "classes": ",".join(each.name for each in advice.shed), "policy": spec.policy,
            "shed_below_priority": _below_priority(situation, advice),
            "protects": "" if advice.burning is None else advice.burning.name, **_told(advice.limit),
        },
    )  # fmt: skip


def _below_priority(situation: Situation, advice: Advice) -> str:
    """The greatest integer that separates what is shed from what is kept, for consumers that know priorities alone."""
    found = ""
    for name, below in PRIORITY_FROM.items():
        mine = [each for each, facts in situation.classes.items() if name in facts.priority_classes]
        if any(not advice.shares[each] for each in mine):
            break
        found = str(below) if mine and advice.shed else found
    return found


def _reason(situation: Situation, advice: Advice) -> str:
    worst = None if advice.burning is None else situation.classes[advice.burning].worst
    said = "nothing burns"
    if worst is not None and advice.burning is not None:
        said = f"{worst.slo} of {advice.burning.name} burns at {worst.burn_rate:.3g}x"
    if advice.shed:
        parts = ", ".join(f"{advice.shares[each]:.0%} of {each.name}" for each in reversed(advice.shed))
        return f"{said}: shed {parts}" if worst else f"the limit holds: shed {parts}"
    if worst is not None:
        return f"{said}, and nothing of less worth is offered"
    return said if advice.limit.work_s is None else f"{said}; the limit is kept for a load that comes back"


def _class_signal(
    spec: SheddingSpec, place: Key, situation: Situation, advice: Advice, each: ServiceClass, now_us: int
) -> Signal:
    facts, share = situation.classes[each], advice.shares[each]
    return Signal(
        service=place[0], model=place[1], name=NAME, scope=each.name, state=SHED if share else ADMIT, value=share,
        unit="share of the class to shed", reason=_class_reason(facts, share), evaluated_at_us=now_us,
        expires_at_us=now_us + round(spec.ttl_s * 1e6), watermark_us=situation.known_until_us,
        window_s=round(situation.window_s), samples=round(facts.load.requests),
        inputs=_figures(facts, situation, advice.request_work[each]) | _cuts(spec, facts, share),
        details={
            "policy": spec.policy, "slo": facts.worst.slo if facts.worst else "",
            "load": "estimated" if facts.is_estimated else "exact", **_tiers(spec, facts, share),
        },
    )  # fmt: skip


def _class_reason(facts: ClassFacts, share: float) -> str:
    worst, shed = facts.worst, facts.load.shed_ratio
    burn = "no data of its promises" if worst is None else f"{worst.slo} burns at {worst.burn_rate:.3g}x"
    beside = "" if shed is None else f"; {shed:.1%} of its requests were shed"
    return f"{burn}{beside}{f'; shed {share:.0%}' if share else ''}"


def _figures(facts: ClassFacts, situation: Situation, request_work: float) -> dict[str, float]:
    """Compliance beside what was shed. If shed requests were all bad, it would be at least `with_shed_ratio`."""
    load, worst = facts.load, facts.worst
    found: dict[str, float | None] = {
        "offered_rps": load.requests / situation.window_s, "shed_rps": load.shed / situation.window_s,
        "shed_ratio": load.shed_ratio, "request_work": request_work,
    }  # fmt: skip
    if worst is not None:
        found |= {
            "good": worst.good, "bad": worst.bad, "target": worst.target, "burn_rate": worst.burn_rate,
            "compliance_ratio": _ratio(worst.good, worst.good + worst.bad),
            "with_shed_ratio": _ratio(worst.good, worst.good + worst.bad + load.shed),
            "window_compliance_ratio": _ratio(worst.window_good, worst.window_good + worst.window_bad),
            "window_good": worst.window_good, "window_bad": worst.window_bad,
        }  # fmt: skip
    return {name: figure for name, figure in found.items() if figure is not None}


def _cuts(spec: SheddingSpec, facts: ClassFacts, share: float) -> dict[str, float]:
    """Of a class that is shed in part by age or cost: what is above this is shed."""
    points = {QUEUE_AGE: facts.queued_s, COST: facts.works}.get(spec.policy, [])
    cut = cut_above(points, share) if 0 < share < 1 else None
    return {} if cut is None else {"queued_s_most" if spec.policy == QUEUE_AGE else "work_most": cut}


def _tiers(spec: SheddingSpec, facts: ClassFacts, share: float) -> dict[str, str]:
    """Of a class that is shed in part by tiers: the share of each, the least worth first; nobody else of it is shed
    before they all are."""
    if spec.policy != TIER or not 0 < share < 1:
        return {}
    left = share * facts.load.requests
    found = {}
    for tier in spec.tiers:
        mine = sum(facts.tenants.get(tenant, Load()).requests for tenant in tier.tenants)
        found[tier.name] = min(left / mine, 1.0) if mine else 0.0
        left = max(left - mine, 0.0)
    others = facts.load.requests - sum(
        facts.tenants.get(tenant, Load()).requests for tier in spec.tiers for tenant in tier.tenants
    )
    found[""] = min(left / others, 1.0) if others > 0 else 0.0
    return {"tiers": ",".join(f"{name}={value:.2f}" for name, value in found.items())}


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
