"""Sums in a rehearsal: of a throughput of tokens and of cost, a stretch says what comes a second in words of its own.

    throughput_tps       {for: 10m, tokens: 900, offered: 9}         tokens, requests offered
    cost_per_1k_tokens   {for: 10m, microusd: 1800, tokens: 900}     millionths of a USD, tokens

Pure. The judge's counts of such an SLO are these two: see `pipeline.sli.SUMS`.
"""

from collections.abc import Iterable

from pipeline.rehearsal.notation import Rate
from pipeline.spec.reading import Reading
from pipeline.spec.scalars import listed

#: metric -> what its good and its bad are a sum of
NAMES = {"throughput_tps": ("tokens", "offered"), "cost_per_1k_tokens": ("microusd", "tokens")}
FIELDS = ("microusd", "tokens", "offered")
UNITS = {"microusd": 1_000_000}  # of what is counted: pico-USD
OF_REQUESTS = ("rate", "bad", "excluded")


def rates(reading: Reading, path: str) -> tuple[Rate, Rate] | None:
    """Return a stretch's rates of all that is counted, and of what is held against the amount; None: of requests."""
    names = next((each for each in NAMES.values() if all(reading.is_given(f"{path}.{name}") for name in each)), None)
    found = [reading.get(f"{path}.{name}") for name in names or ()]
    if names is None or None in found:
        return None
    (amount, load), unit = found, UNITS.get(names[0], 1)
    return Rate(*(one * unit + other for one, other in zip(amount, load, strict=True))), load


def check(reading: Reading, stretches: Iterable[str], series: Iterable[str], metric: str) -> None:
    """Say of stretches, and of series in place of them, that they speak of what the metric counts."""
    names = NAMES.get(metric)
    if names is not None:
        example = f"{{for: 10m, {', '.join(f'{name}: 900' for name in names)}}}"
        for path in series:
            reading.refuse(path, f"must not be given: {metric} is of {listed(names)}", f"write stream: [{example}]")
    for path in stretches:
        for key in (*FIELDS, *OF_REQUESTS):
            below, is_given = f"{path}.{key}", reading.is_given(f"{path}.{key}")
            if names is None and key in FIELDS and is_given:
                reading.refuse(below, f"must not be given: {metric} counts requests", "write rate and bad")
            elif names is not None and key not in names and is_given:
                reading.refuse(below, f"must not be given: {metric} is of {listed(names)}", f"write {example}")
            elif names is not None and key in names and not is_given and not reading.get(f"{path}.silent"):
                rule = f"is missing: {metric} is of {listed(names)}"
                reading.refuse(below, rule, f"write {example}", reading.at(path))
