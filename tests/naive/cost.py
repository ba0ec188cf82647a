"""Oracle of cost: token by token and replica by replica, in exact fractions."""

from fractions import Fraction
from typing import Any

MILLION = 1_000_000


def metered_usd(usage: dict[str, Any], per_million: dict[str, Fraction]) -> Fraction:
    """Pay each token by itself: first those that were cached, then those that were written to the cache."""
    if usage["outcome"] in {"SHED", "RATE_LIMITED", "REJECTED"}:
        return Fraction(0)
    bill = Fraction(0)
    for number in range(usage["input"]):
        if number < usage["cached"]:
            kind = "cached"
        elif number < usage["cached"] + usage["stored"]:
            kind = "stored"
        else:
            kind = "input"
        bill += per_million[kind] / MILLION
    for number in range(usage["output"]):
        bill += per_million["reasoning" if number < usage["reasoning"] else "output"] / MILLION
    return bill


def price_of(prices: list[dict[str, Any]], model: str, provider: str, at: int) -> dict[str, Any] | None:
    """Walk through time and remember what was in force: of the provider itself, if it has any price by then."""
    own = other = None
    for moment in range(at + 1):
        for price in prices:
            if price["model"] == model and price["from"] == moment:
                if price["provider"] == provider and provider:
                    own = price
                elif price["provider"] == "":
                    other = price
    return own or other


def paid(gpu_us: list[int], minutes: int, gpus: int, hour: int) -> list[tuple[Fraction, Fraction]]:
    """What each bears of a replica that was up for so many minutes: of the time it used, and of the time nobody did."""
    spent = Fraction(minutes * gpus * hour, 60)
    used = [Fraction(each, 3_600_000_000) * hour for each in gpu_us]
    return [
        (own, max(spent - sum(used), Fraction(0)) * each / sum(gpu_us)) for own, each in zip(used, gpu_us, strict=True)
    ]


def unlisted(begins: dict[str, set[int]], told: list[dict[str, Any]], start: int, day: int) -> list[int]:
    """Numbers of the announced price changes that nobody has written into the list; `begins`: of each model.

    Whatever another one of the same scope has replaced by `start`, or has ended by then, is over.
    """
    found = []
    for number, one in enumerate(told):
        is_over = one["until"] is not None and one["until"] <= start
        for other in told:
            is_same = (other["service"], other["model"]) == (one["service"], one["model"])
            has_ended = other["until"] is not None and other["until"] <= start
            if is_same and not has_ended and one["at"] < other["at"] <= start:
                is_over = True
        models = begins if one["model"] == "" else [one["model"]]
        is_known = any(
            one["at"] - day <= begin <= one["at"] + day for model in models for begin in begins.get(model, ())
        )
        if not is_over and not is_known:
            found.append(number)
    return sorted(found, key=lambda number: told[number]["at"])
