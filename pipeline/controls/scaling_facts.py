"""What scaling knows of a model, or of one variant of it: read from the rows of infra/clickhouse/controls/scale*.sql.

Pure. Law: what no row says is None, never 0. An objective counts as latency by its metric: errors ask for no replicas.
Of several vantages the one counts that reported most within a day. What never reached a variant, as what was shed, is
spread over the variants by what they served.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from pipeline.controls.loads import arrivals
from pipeline.controls.questions import MISSING
from pipeline.controls.signal import Signal, key_of
from pipeline.periods import us_of

#: of the catalogue: what more replicas make better
LATENCY = frozenset({"e2e", "ttft", "ttfo", "tpot", "queue", "prefill", "decode", "itl_max", "goodput", "shed_rate"})
COLD_STARTS, SHARED = "scale_cold_starts", "scale_shared"  #: questions that are not always asked
#: what each question is about that another day's answer does not stand for, in words
ABOUT = {
    "scale_engines": "replicas", "scale_queue": "queues", "scale_pressure": "burn rates", "scale_day": "the last day",
}  # fmt: skip
STARTS_LEAST = 5.0  #: of cold starts that only requests tell of: a replica that warms up is met by many or by none

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]
Pool = tuple[str, str, str]  #: service, model, variant


class Facts(NamedTuple):
    """What is known now; loads in requests a second of 10 s each, the newest first, those that were shed too."""

    service: str
    model: str
    scope: str  # the variant; "": there is one
    age_s: float
    known_at_us: int
    loads: tuple[float, ...]
    share: float = 1.0  # of the model's load
    day_most: int = 0  # replicas that were ever asked for within a day
    waiting: float | None = None
    ready: float | None = None  # replicas
    cold_start_s: float | None = None  # P95, measured
    accelerator: str = ""
    burn_rate: float | None = None  # the greatest of any latency objective, over its shortest window
    burn_slo: str = ""
    burn_window_s: int = 0
    shares_with: tuple[str, ...] = ()  # service/model of others that its endpoints serve
    missing: tuple[str, ...] = ()  # what had no answer, of ABOUT's words: it may be anything

    @property
    def figures(self) -> dict[str, float]:
        """What is known of them, for a signal's inputs."""
        found = {
            "waiting": self.waiting, "ready": self.ready, "cold_start_p95_s": self.cold_start_s,
            "burn_rate": self.burn_rate,
        }  # fmt: skip
        return {name: float(figure) for name, figure in found.items() if figure is not None}


def facts_of(rows: Rows, previous: Mapping[str, Signal]) -> list[Facts]:
    """Join what each question answered, for every variant of every model that had traffic within a day.

    previous: what was published last remembers cold starts, which are not asked for each time, nor come every day.
    """
    metrics = {row["slo"]: row["metric"] for row in rows.get("slos", ())}
    burns = [row for row in rows.get("scale_pressure", ()) if metrics.get(row["slo"]) in LATENCY]
    engines = {_pool(row): row for row in rows.get("scale_engines", ())}
    starts, shared = _cold_starts(rows.get(COLD_STARTS, ())), _shared(rows)
    most = {_pool(row): int(row["replicas"]) for row in rows.get("scale_day", ())}
    missing = tuple(ABOUT[row["question"]] for row in rows.get(MISSING, ()) if row["question"] in ABOUT)
    found = []
    for (service, model), several in groupby(rows["scale"], key=lambda row: (row["service"], row["model"])):
        chosen, vantage = _of_one_vantage(list(several))
        queues = {_pool(row): row for row in rows.get("scale_queue", ()) if row["vantage"] == vantage}
        for row, loads, share in _placed(chosen):
            pool = (service, model, row["variant"])
            known = _known_of_replicas(engines.get(pool), queues.get(pool), loads)
            cold = starts.get((model, row["variant"])) or _remembered(previous, pool)
            others = {"shares_with": _shares(previous, pool) if shared is None else shared.get((service, model), ())}
            known |= {**cold, **others, **_burning(burns, row), "missing": missing}
            found.append(_facts(row, share, most.get(pool, 0), known))
    return found


def _facts(row: Row, share: float, day_most: int, known: Mapping[str, Any]) -> Facts:
    return Facts(
        service=row["service"], model=row["model"], scope=row["variant"], age_s=float(row["age_s"]),
        known_at_us=_micros(row["known_at"]), share=share, day_most=day_most, **known,
    )  # fmt: skip


def _of_one_vantage(rows: Sequence[Row]) -> tuple[list[Row], str]:
    """Keep what the vantage says that reported most: two that measure the same must not be added up."""
    by_vantage: dict[str, float] = {}
    for row in rows:
        by_vantage[row["vantage"]] = by_vantage.get(row["vantage"], 0.0) + float(row["day_requests"])
    vantage = max(by_vantage, key=lambda name: (by_vantage[name], name))
    return [row for row in rows if row["vantage"] == vantage], vantage


def _placed(rows: Sequence[Row]) -> list[tuple[Row, list[float], float]]:
    """Return each variant with its loads and its share; what has no variant goes to all of them, if there are any."""
    placed = [row for row in rows if row["variant"]] or list(rows)
    placeless = [row for row in rows if not any(row is each for each in placed)]
    served = {row["variant"]: sum(row["loads"]) or 0.0 for row in placed}
    if not sum(served.values()):
        served = {row["variant"]: float(row["day_requests"]) for row in placed}
    whole = sum(served.values())
    found = []
    for row in placed:
        share = served[row["variant"]] / whole if whole else 1 / len(placed)
        columns = zip(row["loads"], *(each["loads"] for each in placeless), strict=True)
        found.append((row, [own + share * sum(others) for own, *others in columns], share))
    return found


def _known_of_replicas(engines: Row | None, queue: Row | None, loads: Sequence[float]) -> dict[str, Any]:
    """Take what engines say of themselves; where nobody looks at them, what events say of their queue."""
    if engines is None or not engines["replicas"]:
        waiting = queue["waiting"] if queue is not None else None
        return {"loads": tuple(loads), "waiting": None if waiting is None else float(waiting)}
    waiting = engines["waiting"]
    return {
        "loads": arrivals(loads, engines["in_flight"]),
        "waiting": None if waiting is None else float(waiting),
        "ready": float(engines["ready"]),
    }


def _cold_starts(rows: Iterable[Row]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the slowest of what was measured, by model and variant: of several accelerators the slowest decides."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key, took_s = (row["model"], row["variant"]), float(row["p95_s"])
        if row["source"] == "events" and row["starts"] < STARTS_LEAST:
            continue
        if key not in found or took_s > found[key]["cold_start_s"]:
            found[key] = {"cold_start_s": took_s, "accelerator": row["accelerator"]}
    return found


def _remembered(previous: Mapping[str, Signal], pool: Pool) -> dict[str, Any]:
    service, model, variant = pool
    last = previous.get(key_of(service, model, "scale", variant))
    text = last.details.get("cold_start_p95_s", "") if last is not None else ""
    return {"cold_start_s": float(text), "accelerator": last.details.get("accelerator", "")} if last and text else {}


def _shared(rows: Rows) -> dict[tuple[str, str], tuple[str, ...]] | None:
    """Which others each model's endpoints serve; None: that was not asked for."""
    if SHARED not in rows:
        return None
    found: dict[tuple[str, str], set[str]] = {}
    for row in rows[SHARED]:
        for service, model in row["models"]:
            others = {f"{each[0]}/{each[1]}" for each in row["models"] if tuple(each) != (service, model)}
            found.setdefault((service, model), set()).update(others)
    return {model: tuple(sorted(others)) for model, others in found.items()}


def _shares(previous: Mapping[str, Signal], pool: Pool) -> tuple[str, ...]:
    """What was known when it was asked for last."""
    service, model, variant = pool
    last = previous.get(key_of(service, model, "scale", variant))
    text = last.details.get("shares_with", "") if last is not None else ""
    return tuple(text.split(", ")) if text else ()


def _burning(burns: Iterable[Row], row: Row) -> dict[str, Any]:
    mine = [each for each in burns if _concerns(each, row)]
    if not mine:
        return {}
    worst = max(mine, key=lambda each: float(each["burn_rate"]))
    return {
        "burn_rate": float(worst["burn_rate"]), "burn_slo": worst["slo"], "burn_window_s": int(worst["window_s"]),
    }  # fmt: skip


def _concerns(burn: Row, row: Row) -> bool:
    """Whether an SLO instance is about a model, as far as its labels say; and a variant."""
    return (
        row["service"] in burn["service"].split(",")
        and burn["model"] in ("", row["model"])
        and burn["variant"] in ("", row["variant"])
    )


def _pool(row: Row) -> Pool:
    return row["service"], row["model"], row["variant"]


def _micros(at: datetime | None) -> int:
    return 0 if at is None else us_of(at)
