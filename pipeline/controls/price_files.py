"""Price lists: YAML to prices in whole pico-USD; or to problems, all of them at once.

Pure. Nothing is rounded: a price that is no whole number of pico-USD for a token is a problem. What is left out costs
what its whole costs: cached input and cache writes as input, reasoning as output.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import schemas
from pipeline.controls.cost import GpuPrice, Price, PriceList
from pipeline.periods import in_zone, us_of
from pipeline.slo import Ratio
from pipeline.spec import scalars
from pipeline.spec.document import Report, only_document
from pipeline.spec.files import bytes_of
from pipeline.spec.problems import Refused, SpecError
from pipeline.spec.reading import Field, Language, Reading, read
from pipeline.spec.scalars import one_of

DEFAULT = schemas.HOME / "prices" / "default.yaml"
ROWS_MOST = 1_000
PER_TOKENS: Mapping[str, int] = {"token": 1, "1k": 1_000, "1M": 1_000_000}
PICOUSD_MOST = 10**9  #: a token; so that 2^31 tokens of each kind fit into 63 bits
_PRICE = re.compile(r"(?P<usd>[\d.]{1,20}) ?USD ?/ ?(?P<per>\w+)", re.ASCII)


def per_token(value: str) -> int:
    """Read `0.59 USD/1M`, `0.0004 USD/1k` or `0.00000059 USD/token` as pico-USD a token."""
    found = _PRICE.fullmatch(value)
    if found is None or found["per"] not in PER_TOKENS:
        raise Refused("must be an amount of USD for tokens", "write it as 0.59 USD/1M, USD/1k or USD/token")
    picousd = scalars.fraction(scalars.decimal(found["usd"])) * scalars.PICO / PER_TOKENS[found["per"]]
    if picousd.denominator != 1:
        text = scalars.written(Fraction(max(round(picousd), 1), 1_000_000), 6)
        raise Refused("must be whole pico-USD a token", f"write {text} USD/1M")
    if picousd > PICOUSD_MOST:
        raise Refused("must be at most 1,000 USD/1M", "write the price of tokens, not of requests")
    return int(picousd)


def amount(value: str) -> int:
    """Read an amount of money, nothing included."""
    return 0 if re.fullmatch(r"0(\.0*)? ?USD", value) else scalars.money(value)


def moment(value: str) -> int:
    """Read a moment as microseconds; UTC unless it says otherwise."""
    try:
        at = datetime.fromisoformat(value)
    except ValueError as error:
        raise Refused("must be a moment", "write 2026-11-01 or 2026-11-01T00:00:00Z") from error
    found = us_of(in_zone(at))
    if found < 0:
        raise Refused("must be after 1970", "leave it out for a price that holds from the beginning")
    return found


def share(value: str) -> Ratio:
    """Read what is added, as a share that may be more than all."""
    ratio = scalars.decimal(value)
    if not 0 <= ratio.numerator <= 10 * ratio.scale:
        raise Refused("must be 0 to 10", "write a share such as 0.15")
    return ratio


_P, _A = "prices.#", "accelerators.#"
LANGUAGE = Language(
    fields={
        "apiVersion": Field(one_of(("burnline/v1",)), "write apiVersion: burnline/v1"),
        "kind": Field(one_of(("PriceList",)), "write kind: PriceList"),
        "version": Field(scalars.name, "write version: and a name that no other list of prices has"),
        "source": Field(scalars.text),
        "overhead": Field(share),
        f"{_P}.model": Field(scalars.word, "write model: as events name it"),
        f"{_P}.provider": Field(scalars.word),
        f"{_P}.from": Field(moment),
        f"{_P}.input": Field(per_token, "write input: 0.59 USD/1M"),
        f"{_P}.output": Field(per_token, "write output: 0.79 USD/1M, 0 USD/1M where nothing is written"),
        f"{_P}.cachedInput": Field(per_token),
        f"{_P}.cacheWrite": Field(per_token),
        f"{_P}.reasoning": Field(per_token),
        f"{_P}.request": Field(amount),
        f"{_A}.name": Field(scalars.word, "write name: as events name the accelerator"),
        f"{_A}.from": Field(moment),
        f"{_A}.hour": Field(amount, "write hour: 2.50 USD"),
    },
    items_max={"prices": ROWS_MOST, "accelerators": ROWS_MOST},
)


def load(path: Path | None) -> PriceList:
    """Read a file; None: the list that is shipped.

    Raises: SpecError with every problem.
    """
    path = path or DEFAULT
    return parse(str(path), bytes_of(path))


def parse(name: str, data: bytes) -> PriceList:
    """Read a price list.

    Raises: SpecError with every problem.
    """
    report = Report(name)
    found = PriceList("")
    if (node := only_document(data, report, "PriceList")) is not None:
        reading = read(LANGUAGE, node, report)
        found = _built(reading, name)
        if not found.prices and not found.accelerators:
            reading.refuse("prices", "is missing", "write prices: of models, accelerators: of hours, or both", value="")
        _refuse_twins(reading, "prices", [(p.model, p.provider, p.from_us) for p in found.prices])
        _refuse_twins(reading, "accelerators", [(a.accelerator, a.from_us) for a in found.accelerators])
    if report.problems:
        raise SpecError(report.all())
    return found


def _built(reading: Reading, name: str) -> PriceList:
    prices = tuple(_price(reading, f"prices[{i}]") for i in range(reading.lengths.get("prices", 0)))
    accelerators = tuple(
        GpuPrice(reading.get(f"{path}.name", ""), reading.get(f"{path}.hour", 0), reading.get(f"{path}.from", 0))
        for path in (f"accelerators[{i}]" for i in range(reading.lengths.get("accelerators", 0)))
    )
    overhead = reading.get("overhead", PriceList.overhead)
    return PriceList(
        reading.get("version", ""), prices, accelerators, overhead, reading.get("source", "").strip(), name
    )


def _price(reading: Reading, path: str) -> Price:
    asked, written = reading.get(f"{path}.input", 0), reading.get(f"{path}.output", 0)
    return Price(
        model=reading.get(f"{path}.model", ""),
        input=asked,
        output=written,
        cached_input=reading.get(f"{path}.cachedInput", asked),
        cache_write=reading.get(f"{path}.cacheWrite", asked),
        reasoning=reading.get(f"{path}.reasoning", written),
        request=reading.get(f"{path}.request", 0),
        provider=reading.get(f"{path}.provider", ""),
        from_us=reading.get(f"{path}.from", 0),
    )


def _refuse_twins(reading: Reading, branch: str, keys: list[Any]) -> None:
    seen: set[Any] = set()
    for index, key in enumerate(keys):
        if key in seen:
            remedy = "remove one, or say from: when it is in force"
            reading.refuse(f"{branch}[{index}]", "is priced twice from the same moment on", remedy, value="{…}")
        seen.add(key)
