"""Law: a price list that can be used is exact, and prices nothing twice; else every problem says what to do."""

import pytest

from jobs.fleet.catalogue import MODELS, PRICE_VERSION
from pipeline.controls.cost import Price
from pipeline.controls.price_files import load, parse
from pipeline.slo import Ratio
from pipeline.spec.problems import SpecError

GOOD = """\
apiVersion: burnline/v1
kind: PriceList
version: list-7
overhead: 0.15
prices:
  - {model: m, input: 0.59 USD/1M, output: 0.0008 USD/1k, cachedInput: 0.295 USD/1M, request: 0.001 USD}
  - {model: m, provider: p, from: 2026-11-01, input: 3 USD/1M, output: 15 USD/1M, cacheWrite: 3.75 USD/1M}
accelerators:
  - {name: h100, hour: 2.5 USD}
  - {name: h100, hour: 2 USD, from: "2026-11-01T06:00:00+02:00"}
"""
NOVEMBER_US = 1_793_491_200_000_000


def test_a_list_is_read_whole_and_parts_cost_what_their_whole_costs() -> None:
    found = parse("prices.yaml", GOOD.encode())
    assert (found.version, found.overhead) == ("list-7", Ratio(15, 100))
    assert found.prices == (
        Price("m", 590_000, 800_000, 295_000, 590_000, 800_000, request=1_000_000_000),
        Price("m", 3_000_000, 15_000_000, 3_000_000, 3_750_000, 15_000_000, provider="p", from_us=NOVEMBER_US),
    )
    assert [a.hour for a in found.accelerators] == [2_500_000_000_000, 2_000_000_000_000]
    assert found.accelerators[1].from_us == NOVEMBER_US + 4 * 3_600_000_000


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        pytest.param("0.59 USD/1M", "0.59", 6, "0.59 USD/1M", id="no unit"),
        pytest.param("0.59 USD/1M", "0.0000005 USD/1M", 6, "whole pico-USD a token", id="finer than pico"),
        pytest.param("0.59 USD/1M", "59 USD/1k", 6, "at most 1,000", id="of requests"),
        pytest.param("version: list-7\n", "", 1, "version", id="no version"),
        pytest.param("overhead: 0.15", "overhead: 15%", 4, "decimal number", id="percent"),
        pytest.param("provider: p, from: 2026-11-01, ", "", 7, "priced twice", id="twice from the beginning"),
        pytest.param("from: 2026-11-01,", "from: november,", 7, "must be a moment", id="no moment"),
        pytest.param("cacheWrite", "cacheWrites", 7, "cacheWrite?", id="an unknown key"),
        pytest.param(", output: 0.0008 USD/1k", "", 6, "output: 0.79", id="no output price"),
        pytest.param(GOOD[GOOD.index("prices:") :], "", 1, "prices: of models", id="no prices at all"),
    ],
)
def test_a_problem_names_its_place_and_what_to_do(old: str, new: str, line: int, says: str) -> None:
    assert old in GOOD
    with pytest.raises(SpecError) as refused:
        parse("prices.yaml", GOOD.replace(old, new, 1).encode())
    (problem,) = str(refused.value).splitlines()
    assert problem.startswith(f"prices.yaml:{line}:") and says in problem


def test_the_shipped_list_is_the_one_that_the_fleet_is_rated_by() -> None:
    shipped = load(None)
    assert shipped.version == PRICE_VERSION
    for model in MODELS:
        price = shipped.price(model.name, "in-house", 0)
        assert price is not None
        assert (price.input, price.cached_input, price.output) == (
            model.input_picousd, model.cached_picousd, model.output_picousd
        )  # fmt: skip
        assert all(shipped.hour(variant.accelerator, 0) for variant in model.variants)


def test_a_file_that_cannot_be_read_says_so(tmp_path: object) -> None:
    from pathlib import Path

    with pytest.raises(SpecError, match="name a file that can be"):
        load(Path(str(tmp_path)) / "nothing.yaml")
