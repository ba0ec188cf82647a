"""Figures as a person reads them at night: few digits, a unit, and never more certainty than there is.

Pure. A share that is not all is never shown as 100 %, and one that is not nothing never as 0 %. No data is said, not
shown as a number. What comes out of events is cleaned before it stands in a sentence.
"""

import math
from datetime import timedelta
from itertools import pairwise

from pipeline.periods import EPOCH

NO_DATA = "no data"
DAY_US = 86_400_000_000
MOST_CHARACTERS = 80  #: of a label's value: producers choose them

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def lasting(seconds: float) -> str:
    """Say how long: 45 s, 6 min, 1 h 20 min, 2 d 4 h; minutes and hours to their last whole."""
    whole = max(int(seconds), 0)
    for (size, unit), (next_size, next_unit) in pairwise(_UNITS):
        if whole >= size:
            many, rest = whole // size, whole % size // next_size
            return f"{many} {unit} {rest} {next_unit}" if rest and many < 10 else f"{many} {unit}"
    return f"{whole} s" if seconds >= 1 else f"{max(seconds, 0) * 1000:.0f} ms"


def share(ratio: float | None, digits: int = 2) -> str:
    """Write a share: so many digits that say something, as 5.2 % or 0.031 %; one of a budget may be more than all."""
    if ratio is None:
        return NO_DATA
    text = f"{_digits(ratio * 100, digits)} %"
    return f"{_short_of_all(ratio)} %" if ratio < 1 and text == "100 %" else text


def _short_of_all(ratio: float) -> str:
    """Write percent with two digits of what is missing."""
    exponent = int(f"{(1 - ratio) * 100:.1e}".partition("e")[2])
    text = f"{ratio * 100:.{min(max(1 - exponent, 0), 7)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def promised(target: float) -> str:
    """Write a target as it is written in a file: 99 %, 99.95 %."""
    return f"{target * 100:.10g} %"


def times(rate: float | None) -> str:
    """Write a burn rate: 0.4x, 2.1x, 14x, 1,000x."""
    return NO_DATA if rate is None else f"{_digits(rate)}x"


def _digits(value: float, count: int = 2) -> str:
    """Write a number with so many digits that count; of a hundred or more every whole."""
    if value == 0:
        return "0"
    places = max(count - 1 - math.floor(math.log10(abs(value))), 0)
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def quickly(micros: float) -> str:
    """Write a latency: 870 us, 320 ms, 1.4 s, 1 min 5 s."""
    if micros >= 60e6:
        return lasting(micros / 1e6)
    size, unit = next(each for each in ((1e6, "s"), (1e3, "ms"), (1, "us")) if micros >= each[0] or each[0] == 1)
    return f"{_digits(micros / size)} {unit}"


def moment(at_us: int, near_us: int) -> str:
    """Write a moment in UTC; the day too when it is not that of `near_us`."""
    at = EPOCH + timedelta(microseconds=at_us)
    is_same = at_us // DAY_US == near_us // DAY_US
    return f"{at:%H:%M:%S} UTC" if is_same else f"{at:%Y-%m-%d %H:%M} UTC"


def many(count: int, noun: str) -> str:
    """Count: 1 request, 1,234 requests."""
    return f"{count:,} {noun.removesuffix('s') if count == 1 else noun}"


def clean(text: str, most: int = MOST_CHARACTERS) -> str:
    """Take out of a value what could break a line or hide in it, and cut it."""
    printable = "".join(char if char.isprintable() else "?" for char in text)
    return printable if len(printable) <= most else f"{printable[: most - 1]}…"


def line(text: str, most: int) -> str:
    """Write what people wrote, perhaps on several lines, on one."""
    return clean(" ".join(text.split()), most)


def cut(text: str, most: int) -> str:
    """Cut at the end of a word, and show that something is missing."""
    if len(text) <= most:
        return text
    head = text[: most - 1]
    return f"{head[: head.rfind(' ')].rstrip() if ' ' in head[-80:] else head}…"
