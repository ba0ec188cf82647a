"""Rules that need more than one field of an SLO. Each looks at one reading and reports what it finds.

Pure. A rule says nothing about fields that are missing or were refused: those have their problem already.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipeline.alerts import AlertPolicy, WindowPair
from pipeline.slo import Ratio
from pipeline.spec import calendars, selectors, thresholds
from pipeline.spec.reading import Reading
from pipeline.spec.scalars import (
    FACTOR_DECIMALS_MAX,
    UNITS_US,
    duration_text,
    fraction,
    listed,
    nearest,
    written,
)


@dataclass(frozen=True)
class ModelPreset:
    """What others promise for a model: thresholds by metric, for a share of requests."""

    thresholds_us: Mapping[str, int]
    source: str
    note: str = ""


@dataclass(frozen=True)
class Presets:
    """What a file may name."""

    windows: Mapping[str, AlertPolicy]
    models: Mapping[str, ModelPreset] = field(default_factory=dict)


Rule = Callable[[Reading, Presets], None]

INDICATOR, MODEL = thresholds.INDICATOR, thresholds.MODEL
PAIRS = "spec.alerting.pairs"
DEFAULT_PRESET = "default"


def model_preset(reading: Reading, presets: Presets) -> None:
    """A model's preset has op and threshold for some metrics; nothing else may say them."""
    name, metric = reading.get(MODEL), reading.get(f"{INDICATOR}.metric")
    if name is None:
        return
    if name not in presets.models:
        meant = nearest(name, presets.models)
        remedy = f"did you mean {meant}?" if meant else "write one of them, or op and threshold"
        reading.refuse(MODEL, f"must be one of {listed(presets.models)}", remedy)
    elif metric not in {None, "goodput", *presets.models[name].thresholds_us}:
        known = " or ".join(presets.models[name].thresholds_us)
        reading.refuse(MODEL, f"has no threshold for {metric}", f"write metric: {known}, or op and threshold")
    for key in ("op", "threshold"):
        if reading.is_given(f"{INDICATOR}.{key}"):
            reading.refuse(f"{INDICATOR}.{key}", "is already said by preset", "remove one of them")


def selector_says_each_thing_once(reading: Reading, presets: Presets) -> None:
    for label, said in (("service", "spec.service"), ("vantage", f"{INDICATOR}.vantage")):
        path = f"{selectors.WHERE}.{label}"
        if reading.is_given(path) and reading.is_given(said):
            reading.refuse(path, f"is already said by {said}", "remove one of them")
    path = f"{selectors.WHERE}.final_attempt"
    if reading.is_given(path) and reading.get(f"{INDICATOR}.attempts", "final") == "final":
        reading.refuse(path, "contradicts or repeats attempts: final, the default", "remove it, or write attempts: all")


def preset_or_pairs(reading: Reading, presets: Presets) -> None:
    preset, path = reading.get("spec.alerting.preset"), "spec.alerting.preset"
    if reading.is_given(path) and reading.is_given(PAIRS):
        reading.refuse(path, "must not be given beside pairs", "remove one of them")
    if preset is not None and preset not in presets.windows:
        meant = nearest(preset, presets.windows)
        remedy = f"did you mean {meant}?" if meant else "write one of them, or pairs of your own"
        reading.refuse(path, f"must be one of {listed(presets.windows)}", remedy)


def short_under_long(reading: Reading, presets: Presets) -> None:
    for path in own_pairs(reading):
        long_us, short_us = reading.get(f"{path}.long"), reading.get(f"{path}.short")
        if long_us is None or short_us is None or short_us < long_us:
            continue
        shorter = f"write {duration_text(max(long_us // 12 // UNITS_US['s'], 1) * UNITS_US['s'])}, a twelfth of long"
        if short_us == long_us:
            rule = f"equals long, {duration_text(long_us)}: the short window must end the alert sooner"
            reading.refuse(f"{path}.short", rule, shorter)
        else:
            remedy = f"exchange them, or {shorter}"
            reading.refuse(f"{path}.short", f"must be shorter than long, {duration_text(long_us)}", remedy)


def window_holds_pairs(reading: Reading, presets: Presets) -> None:
    """A window shorter than a pair's long window would alert on time that no longer counts."""
    window_us = calendars.window_us(reading)
    if window_us is None:
        return
    for path in own_pairs(reading):
        long_us = reading.get(f"{path}.long")
        if long_us is not None and long_us > window_us:
            rule = f"must not be longer than the time window, {duration_text(window_us)}"
            reading.refuse(f"{path}.long", rule, f"write {duration_text(window_us)} or less")
    name, longest_us = _preset(reading, presets), 0
    if name is not None:
        longest_us = max(pair.long_us for pair in presets.windows[name].pairs)
    if longest_us > window_us:
        rule = f"must not be shorter than the longest window of preset {name}, {duration_text(longest_us)}"
        remedy = f"write {duration_text(longest_us)} or more, or alerting: {{pairs: [...]}} of your own"
        reading.refuse("spec.timeWindow.duration", rule, remedy)


def windows_hold_slices(reading: Reading, presets: Presets) -> None:
    """A preset's windows must hold a slice, and the shortest long one as many as the guards ask for."""
    slice_us, name = reading.get("spec.timeSliceWindow"), _preset(reading, presets)
    window_us = calendars.window_us(reading)
    if slice_us is None or window_us is None or calendars.timeslices(reading) is None:
        return
    if not calendars.holds_slices(reading, slice_us, window_us):
        return
    pairs = presets.windows[name].pairs if name is not None else ()
    shortest_us = min((pair.short_us for pair in pairs), default=slice_us)
    if slice_us > shortest_us:
        rule = f"must not be longer than the shortest window of preset {name}, {duration_text(shortest_us)}"
        remedy = f"write {duration_text(shortest_us)} or less, or alerting: {{pairs: [...]}} of your own"
        reading.refuse("spec.timeSliceWindow", rule, remedy)
        return
    longs_us = [reading.get(f"{path}.long") for path in own_pairs(reading)] + [pair.long_us for pair in pairs]
    long_us = min((each for each in longs_us if each is not None), default=0)
    for path in ("spec.guards.minEvents", "spec.guards.minBad"):
        least, most = reading.get(path), long_us // slice_us
        if least is not None and most and least > most:
            rule = f"can never be met: {duration_text(long_us)} holds {most} slices of {duration_text(slice_us)}"
            reading.refuse(path, rule, f"write {most} or less")


def factors_can_fire(reading: Reading, presets: Presets) -> None:
    """A total outage burns 1 / (1 - target); a greater factor never fires."""
    target = reading.get("spec.target")
    if target is None:
        return
    for path in own_pairs(reading):
        factor = reading.get(f"{path}.factor")
        if factor is not None and never_fires(target, factor):
            reading.refuse(f"{path}.factor", never(target), f"write {greatest(target)} or less")
    name = _preset(reading, presets)
    for pair in presets.windows[name].pairs if name is not None else ():
        if never_fires(target, pair.factor):
            _preset_never_fires(reading, name or "", target, pair)


def _preset_never_fires(reading: Reading, name: str, target: Ratio, pair: WindowPair) -> None:
    place = reading.at("spec.alerting.preset", "spec.target")
    rule = f"{written(fraction(pair.factor))}x of {pair.severity.name.lower()} {never(target)}"
    remedy = f"write alerting: {{pairs: [...]}} with factors of {greatest(target)} or less"
    reading.refuse("spec.alerting.preset", rule, remedy, place, name)


def never_fires(target: Ratio, factor: Ratio) -> bool:
    """Tell whether factor > 1 / (1 - target), exactly."""
    return fraction(factor) * (1 - fraction(target)) > 1


def never(target: Ratio) -> str:
    return f"can never fire: a total outage burns {greatest(target)}x at target {written(fraction(target))}"


def greatest(target: Ratio) -> str:
    """Write the greatest usable factor, rounded down."""
    return written(1 / (1 - fraction(target)), FACTOR_DECIMALS_MAX)


def sla_is_looser(reading: Reading, presets: Presets) -> None:
    target, promised = reading.get("spec.target"), reading.get("spec.sla.target")
    if target is None or promised is None or fraction(promised) <= fraction(target):
        return
    rule = f"must not be stricter than the SLO's target, {written(fraction(target))}"
    reading.refuse("spec.sla.target", rule, f"write {written(fraction(target))} or less, or raise spec.target")


def own_pairs(reading: Reading) -> list[str]:
    """Return the paths of the pairs that are written out."""
    return [f"{PAIRS}[{index}]" for index in range(reading.lengths.get(PAIRS, 0))]


def _preset(reading: Reading, presets: Presets) -> str | None:
    """Return the preset in force; None when pairs are written out or no such preset exists."""
    if reading.is_given(PAIRS):
        return None
    given = reading.is_given("spec.alerting.preset")
    name = reading.get("spec.alerting.preset") if given else DEFAULT_PRESET
    return name if name in presets.windows else None


def _alone(check: Callable[[Reading], None]) -> Rule:
    return lambda reading, presets: check(reading)


#: of everything that promises: SLOs and composites
PROMISE: tuple[Rule, ...] = (
    _alone(calendars.check_window),
    _alone(calendars.check_budgeting),
    _alone(calendars.check_slices_fit),
    preset_or_pairs,
    short_under_long,
    window_holds_pairs,
    windows_hold_slices,
    factors_can_fire,
    sla_is_looser,
)
RULES: tuple[Rule, ...] = (
    model_preset,
    _alone(thresholds.check),
    selector_says_each_thing_once,
    _alone(selectors.check_values_exist),
    _alone(selectors.check_operators),
    *PROMISE,
)
