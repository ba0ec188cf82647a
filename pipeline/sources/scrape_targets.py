"""Files of scrape targets: YAML to the replicas that are looked at; or to problems, all of them at once. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.sources.engines import all_engines
from pipeline.spec import scalars
from pipeline.spec.document import Report, only_document
from pipeline.spec.files import bytes_of
from pipeline.spec.problems import Refused, SpecError
from pipeline.spec.reading import Field, Language, Reading, read

TARGETS_MOST = 10_000
SECOND_US = 1_000_000


@dataclass(frozen=True)
class Target:
    """One replica: where it answers, and what it does not say of itself."""

    url: str
    service: str
    endpoint: str  # as events name it
    engine: str = ""  # "": whatever its series say
    model: str = ""  # "": as its series say
    region: str | None = None
    variant: str | None = None
    accelerator: str | None = None
    gpu_count: int | None = None
    gpu_hour_picousd: int | None = None
    token_file: Path | None = None


@dataclass(frozen=True)
class Targets:
    """What is looked at, and how often."""

    every_s: float
    timeout_s: float
    targets: tuple[Target, ...]


def address(value: str) -> str:
    """Read http://host:port or http://host:port/path."""
    try:
        parts = urlsplit(value)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_one = False
    if not is_one or "@" in parts.netloc or parts.query or parts.fragment:
        raise Refused("must be an address", "write http://10.0.0.5:8000, or with a path; a token goes into tokenFile")
    return value


#: key of a target -> field of Target, how it is read, and what to do when it is missing
KEYS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "url": ("url", address, "write url: http://10.0.0.5:8000"),
    "service": ("service", scalars.word, "write service: as events name it"),
    "endpoint": ("endpoint", scalars.word, ""),
    "engine": ("engine", scalars.one_of(all_engines()), ""),
    "model": ("model", scalars.word, ""),
    "region": ("region", scalars.word, ""),
    "variant": ("variant", scalars.word, ""),
    "accelerator": ("accelerator", scalars.word, ""),
    "gpuCount": ("gpu_count", scalars.count, ""),
    "gpuHour": ("gpu_hour_picousd", scalars.money, ""),
    "tokenFile": ("token_file", lambda value: Path(scalars.word(value)), ""),
}
LANGUAGE = Language(
    fields={
        "apiVersion": Field(scalars.one_of(("burnline/v1",)), "write apiVersion: burnline/v1"),
        "kind": Field(scalars.one_of(("ScrapeTargets",)), "write kind: ScrapeTargets"),
        "every": Field(scalars.duration),
        "timeout": Field(scalars.duration),
        **{f"targets.#.{key}": Field(how, missing) for key, (_, how, missing) in KEYS.items()},
    },
    required={"targets": "write targets: [{url: http://10.0.0.5:8000, service: chat}]"},
    items_max={"targets": TARGETS_MOST},
)


def load(path: Path) -> Targets:
    """Read a file. Raises: SpecError with every problem."""
    return parse(str(path), bytes_of(path))


def parse(name: str, data: bytes) -> Targets:
    """Read a file of targets. Raises: SpecError with every problem."""
    report, built = Report(name), Targets(2.0, 1.0, ())
    if (node := only_document(data, report, "ScrapeTargets")) is not None:
        reading = read(LANGUAGE, node, report)
        every_us, timeout_us = reading.get("every", 2 * SECOND_US), reading.get("timeout", SECOND_US)
        if timeout_us > every_us:
            reading.refuse("timeout", "is longer than every", "looks of one replica must not overlap")
        targets = tuple(_target(reading, f"targets[{at}]") for at in range(reading.lengths.get("targets", 0)))
        built = Targets(every_us / SECOND_US, timeout_us / SECOND_US, targets)
        _check(reading, targets)
    if report.problems:
        raise SpecError(report.all())
    return built


def _target(reading: Reading, path: str) -> Target:
    said = {field: reading.get(f"{path}.{key}") for key, (field, _, _) in KEYS.items()}
    given = {field: value for field, value in said.items() if value is not None}
    url = given.get("url", "")
    return Target(**{"url": url, "service": "", "endpoint": urlsplit(url).netloc} | given)


def _check(reading: Reading, targets: tuple[Target, ...]) -> None:
    seen: set[str] = set()
    for number, target in enumerate(targets):
        if target.endpoint in seen:
            reading.refuse(
                f"targets[{number}]", f"is {target.endpoint} again", "give each replica an endpoint: of its own",
                value=target.endpoint,
            )  # fmt: skip
        seen.add(target.endpoint)
