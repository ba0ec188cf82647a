"""Scalars: the text of one value to what it means, exactly. Each reader returns a value or raises Refused.

Pure. Numbers are read digit by digit, never as floats: 0.999 is 999/1000. Digits have limits, so that the
engine's integer products stay small and `1e999999999` is no denial of service.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

from pipeline.alerts import Severity
from pipeline.series import LABELS
from pipeline.sli import METRICS
from pipeline.slo import Ratio
from pipeline.spec.problems import Refused

Read = Callable[[str], Any]

UNITS_US = {
    "us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000,
    "w": 604_800_000_000,
}  # fmt: skip
TARGET_DECIMALS_MAX = 7  # 99.99999 %: 3 s in a year
FACTOR_DECIMALS_MAX = 2  # with the target's, and the clear margin's: products of a year fit into 63 bits
DIGITS_MAX = 12  # before the decimal point
RATE_UNITS_S = {"s": 1, "m": 60, "h": 3_600}
RATE_MAX = 100_000_000  # a second
PICO = 10**12
MONEY_MAX = 1_000_000  # USD
PER_REQUEST = "perRequest"
WINDOW_US_MAX = 366 * UNITS_US["d"]

_DECIMAL = re.compile(rf"[+-]?(\d{{1,{DIGITS_MAX}}}(\.\d{{0,12}})?|\.\d{{1,12}})", re.ASCII)
_TERM = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)([A-Za-z]*)", re.ASCII)
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,98}[a-z0-9])?", re.ASCII)
_LONGER_UNITS = {
    "M": ("30d", "months"),
    "Q": ("90d", "quarters"),
    "y": ("365d", "years"),
    "Y": ("365d", "years"),
}


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that was probably meant, or ""."""
    lower = {name.lower(): name for name in known}
    squeezed = word[:64].lower().replace("_", "").replace("-", "")
    matches = get_close_matches(squeezed, lower, 1, 0.6)
    matches += [name for name in lower if len(squeezed) > 3 and squeezed in name]
    return lower[matches[0]] if matches else ""


def listed(words: Iterable[str]) -> str:
    return ", ".join(words)


@dataclass(frozen=True)
class OneOf:
    """Reads one word of a closed list; a word of `later` is refused by name, with what to write instead."""

    known: tuple[str, ...]
    later: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, text: str) -> str:
        if text in self.known:
            return text
        if text in self.later:
            raise Refused("is not supported yet", self.later[text])
        known, is_one = listed(self.known), len(self.known) == 1
        meant = nearest(text, self.known)
        remedy = f"did you mean {meant}?" if meant else f"write {known if is_one else 'one of them'}"
        raise Refused(f"must be {'' if is_one else 'one of '}{known}", remedy)


def one_of(known: Iterable[str], later: Mapping[str, str] | None = None) -> OneOf:
    return OneOf(tuple(known), later or {})


metric = one_of(METRICS)
label_name = one_of(LABELS)


def text(value: str) -> str:
    """Read any text, shorter than a page."""
    if len(value) > 4096:
        raise Refused("must be at most 4096 characters", "shorten it")
    return value


def word(value: str) -> str:
    """Read text that must say something, on one line."""
    if not value.strip() or not value.isprintable():
        raise Refused("must be one line of text, and not empty", "write a name")
    if len(value) > 256:
        raise Refused("must be at most 256 characters", "shorten it")
    return value


def name(value: str) -> str:
    """Read the name of an SLO: it becomes part of keys, addresses and file names."""
    if _NAME.fullmatch(value):
        return value
    proposal = re.sub(r"[^a-z0-9.]+", "-", value.lower())[:100].strip("-.")
    rule = "must be 1 to 100 of a-z, 0-9, dot and dash, with a letter or digit at both ends"
    raise Refused(rule, f"write {proposal}" if _NAME.fullmatch(proposal) else "write a name such as chat-ttft")


def decimal(value: str) -> Ratio:
    """Read a decimal number exactly.

    Raises: Refused for anything else, exponents included.
    """
    if not _DECIMAL.fullmatch(value):
        raise Refused("must be a decimal number", "write digits and a point, such as 0.99")
    return Ratio.parse(value)


def decimals(ratio: Ratio) -> int:
    """Count the digits behind the point."""
    return len(str(ratio.scale)) - 1


def written(value: Fraction, places: int = TARGET_DECIMALS_MAX) -> str:
    """Write a number >= 0 as a decimal, cut after `places`, without trailing zeros."""
    whole, rest = divmod(value.numerator * 10**places // value.denominator, 10**places)
    return f"{whole}.{rest:0{places}d}".rstrip("0").rstrip(".")


def fraction(ratio: Ratio) -> Fraction:
    return Fraction(ratio.numerator, ratio.scale)


def target(value: str) -> Ratio:
    """Read a ratio in (0, 1); recognise percents."""
    rule = "must be a ratio in (0, 1)"
    number = value.removesuffix("%").rstrip()
    if not _DECIMAL.fullmatch(number):
        raise Refused(rule, "write digits and a point, such as 0.99")
    ratio = Ratio.parse(number)
    percent = fraction(ratio) / 100
    if number != value or 1 < fraction(ratio) < 100:
        proper = 0 < percent < 1 and decimals(ratio) + 2 <= TARGET_DECIMALS_MAX
        raise Refused(rule, f"write {written(percent)}" if proper else "write a share such as 0.99")
    if not 0 < ratio.numerator < ratio.scale:
        whole = ratio.numerator == ratio.scale or fraction(ratio) == 100
        raise Refused(rule, "leave a budget: write 0.999 or less" if whole else "write a share such as 0.99")
    if decimals(ratio) > TARGET_DECIMALS_MAX:
        raise Refused(f"must have at most {TARGET_DECIMALS_MAX} decimals", f"write {written(fraction(ratio))}")
    return ratio


def share(value: str) -> Ratio:
    """Read a ratio in [0, 1]."""
    ratio = decimal(value)
    if not 0 <= ratio.numerator <= ratio.scale or decimals(ratio) > TARGET_DECIMALS_MAX:
        raise Refused("must be a ratio in [0, 1]", "write a share such as 0.5")
    return ratio


def margin(value: str) -> Ratio:
    """Read a ratio in [0, 1): how far under its factor a burn must be before an alert clears."""
    ratio = decimal(value)
    if not 0 <= ratio.numerator < ratio.scale or decimals(ratio) > FACTOR_DECIMALS_MAX:
        raise Refused(f"must be a ratio in [0, 1), with at most {FACTOR_DECIMALS_MAX} decimals", "write 0.1")
    return ratio


def factor(value: str) -> Ratio:
    """Read a burn rate factor; `10x` is said, 10 is written."""
    number = value.removesuffix("x")
    if number != value and _DECIMAL.fullmatch(number):
        raise Refused("must be a number without a unit", f"write {number}")
    ratio = decimal(value)
    if ratio.numerator <= 0:
        raise Refused("must be greater than 0", "write a factor such as 10")
    if decimals(ratio) > FACTOR_DECIMALS_MAX:
        raise Refused(
            f"must have at most {FACTOR_DECIMALS_MAX} decimals",
            f"write {written(fraction(ratio), FACTOR_DECIMALS_MAX)}",
        )
    return ratio


def count(value: str) -> int:
    """Read a count of events."""
    if not re.fullmatch(r"\d{1,12}", value, re.ASCII):
        raise Refused("must be a whole number, 0 or more", "write digits only, such as 30")
    return int(value)


def requests(value: str) -> int:
    """Read how many requests: `64`, or `64 requests`."""
    match = re.fullmatch(r"(\d{1,9})( ?requests)?", value, re.ASCII)
    if match is None:
        raise Refused("must be a whole number of requests", "write digits only, such as 64")
    return int(match[1])


def rate(value: str) -> int:
    """Read `10/s`, `0.5/s`, `600/m` or `36000/h` as millionths a second; a unit is required, nothing is rounded."""
    number, slash, unit = value.partition("/")
    number, unit = number.strip(), unit.strip()
    if _DECIMAL.fullmatch(number) and not slash:
        raise Refused("must carry a unit", f"write {number}/s, {number}/m or {number}/h")
    if not _DECIMAL.fullmatch(number) or unit not in RATE_UNITS_S:
        raise Refused("must be a rate: a number a second, minute or hour", "write a number and /s, /m or /h, as 10/s")
    found = fraction(Ratio.parse(number)) * 1_000_000 / RATE_UNITS_S[unit]
    if not 0 < found <= RATE_MAX * 1_000_000:
        raise Refused(f"must be greater than 0 and at most {RATE_MAX}/s", "write a rate such as 10/s")
    if found.denominator != 1:
        raise Refused("must be whole in millionths a second", f"write {rate_text(max(int(found), 1))}")
    return int(found)


def rate_text(millionths: int) -> str:
    """Write a rate a second. Law: rate(rate_text(n)) == n for n > 0."""
    return f"{written(Fraction(millionths, 1_000_000))}/s"


def money(value: str) -> int:
    """Read `0.002 USD` as pico-USD; the currency is required, nothing is rounded."""
    number = value.removesuffix("USD").rstrip()
    bare = value.strip().lstrip("$")
    if number == value and _DECIMAL.fullmatch(bare):
        raise Refused("must carry its currency", f"write {bare} USD")
    if number == value or not _DECIMAL.fullmatch(number):
        raise Refused("must be an amount of money in USD", "write a number and USD, such as 0.002 USD")
    found = fraction(Ratio.parse(number)) * PICO
    if not 0 < found <= MONEY_MAX * PICO:
        raise Refused(f"must be greater than 0 and at most {MONEY_MAX} USD", "write an amount such as 0.002 USD")
    return int(found)


def money_text(picousd: int) -> str:
    """Write an amount of money. Law: money(money_text(n)) == n for n > 0."""
    return f"{written(Fraction(picousd, PICO), 12)} USD"


def threshold(value: str) -> str:
    """Read a threshold of any metric: the text, once it is one, or may want a unit; its metric says which.

    Raises: Refused.
    """
    if _DECIMAL.fullmatch(value):
        return value
    found: list[Refused] = []
    for reader in (duration, requests, rate, money):
        try:
            reader(value)
        except Refused as refused:
            found.append(refused)
        else:
            return value
    raise found[2 if "/" in value else 3 if "USD" in value or "$" in value else 0]


def objective(value: str) -> int:
    """Read what goodput asks of a metric: a duration, or 0 for what each request asks for itself."""
    return 0 if value == PER_REQUEST else duration(value)


def boolean(value: str) -> bool:
    if value not in {"true", "false"}:
        raise Refused("must be true or false", "write true or false")
    return value == "true"


def severity(value: str) -> Severity:
    return Severity[one_of(("info", "warning", "critical"))(value).upper()]


def duration(value: str, hints: tuple[str, ...] = ("ms", "s")) -> int:
    """Read `1s`, `500ms`, `1.5h`, `1h30m` as microseconds; a unit is required, nothing is rounded."""
    terms = _TERM.findall(value)
    if not terms or _TERM.sub("", value):
        raise Refused("must be a duration with a unit", "write a number and a unit, such as 500ms, 2s, 5m, 1h or 30d")
    total = Fraction(0)
    for amount, unit in terms:
        if not unit:
            raise Refused("must carry a unit", f"write {' or '.join(amount + hint for hint in hints)}")
        total += Fraction(amount) * _unit_us(value, unit)
    if total.denominator != 1:
        raise Refused("must be a whole number of microseconds", f"write {max(1, int(total))}us")
    if total == 0:
        raise Refused("must be longer than 0", "write a duration such as 5m")
    return int(total)


def _unit_us(value: str, unit: str) -> int:
    if unit in UNITS_US:
        return UNITS_US[unit]
    if unit in _LONGER_UNITS:
        example, what = _LONGER_UNITS[unit]
        raise Refused(f"{what} differ in length", f"write days, such as {example}")
    meant = nearest(unit, ("us", "ms", "seconds", "minutes", "hours", "days", "weeks"))
    short = meant if meant in UNITS_US else meant[:1]
    remedy = f"write {value.replace(unit, short)}" if meant else "write a unit of the list"
    raise Refused(f"must have a unit of {listed(UNITS_US)}", remedy)


def window(value: str) -> int:
    """Read a window: whole seconds, since counts are kept by the second, and at most a year."""
    length = duration(value, ("m", "h", "d"))
    if length % UNITS_US["s"]:
        raise Refused(
            "must be whole seconds, as counts are kept by the second",
            f"write {max(1, length // UNITS_US['s'])}s",
        )
    if length > WINDOW_US_MAX:
        raise Refused("must be at most 366d", "write 366d or less")
    return length


def duration_text(length_us: int) -> str:
    """Write a duration in its largest units, as 1h30m. Law: duration(duration_text(n)) == n for n > 0."""
    parts = []
    for unit in ("d", "h", "m", "s", "ms", "us"):
        amount, length_us = divmod(length_us, UNITS_US[unit])
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"


def label_value(value: str) -> str:
    """Read the value of a label, as the events have it; the empty text selects events without it."""
    if len(value.encode()) > 256:
        raise Refused("must be at most 256 bytes, as no label of an event is longer", "shorten it")
    return value


def prefix(value: str) -> str:
    """Read how values of a label begin."""
    if not value:
        raise Refused("must not be empty, as every value begins so", "write how values begin")
    return label_value(value)


def weight(value: str) -> Ratio:
    """Read how much a member of a composite counts."""
    ratio = decimal(value)
    if ratio.numerator <= 0 or decimals(ratio) > FACTOR_DECIMALS_MAX:
        raise Refused(f"must be greater than 0, with at most {FACTOR_DECIMALS_MAX} decimals", "write 1")
    return ratio


def slice_target(value: str) -> Ratio:
    """Read a ratio in (0, 1]: a slice, unlike an SLO, may have to be all good."""
    ratio = decimal(value)
    if not 0 < ratio.numerator <= ratio.scale or decimals(ratio) > TARGET_DECIMALS_MAX:
        raise Refused("must be a ratio in (0, 1]", "write a share such as 0.95")
    return ratio
