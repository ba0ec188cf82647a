"""What `burnline doctor` looks at beside servers' data: SLO files, compiled kernels, schemas in a registry."""

import json
import os
from pathlib import Path

from pipeline.commands.findings import Finding
from pipeline.settings import PREFIX, Settings

COMPILED = "*.nbc"  #: Numba's machine code, a file a kernel


def check_slos(settings: Settings) -> Finding:
    from pipeline.spec import load

    found = load([settings.slo_dir])
    if found.problems:
        first = found.problems[0]
        return Finding(
            "SLO files",
            False,
            f"{len(found.problems)} problem(s), the first: {first}",
            "run `burnline slo validate`",
        )
    return Finding("SLO files", True, f"{len(found.slos)} SLO(s) in {settings.slo_dir}")


def check_controls(settings: Settings) -> Finding:
    """Files of controls and of the deploy gate: whether a worker would start with them."""
    from pipeline.controls.sections import sections
    from pipeline.spec.problems import SpecError

    try:
        found = sections(settings.controls_file, settings.gate_policy, settings.trailing_s)
    except SpecError as error:
        first = error.problems[0]
        return Finding("controls", False, f"{len(error.problems)} problem(s), the first: {first}", "mend the file")
    return Finding("controls", True, f"{len(found)} controls by {settings.controls_file or 'the shipped file'}")


def check_cache(settings: Settings) -> Finding:
    """Compiled kernels: whether others could write what we run, and whether a worker starts without compiling."""
    from pipeline.commands.private import NotPrivate, check_private

    ours = settings.kernels_dir
    elsewhere = [Path(chosen)] if (chosen := os.environ.get("NUMBA_CACHE_DIR")) else []
    for directory in (ours, *elsewhere):
        if directory.exists():
            try:
                check_private(directory)
            except NotPrivate as error:
                return Finding("kernels", False, str(error), f"or set {PREFIX}KERNEL_CACHE to a directory of your own")
    decoders = len(list(ours.rglob(COMPILED))) if ours.exists() else 0
    if not decoders:
        look = "the first worker compiles for a minute or two; `burnline worker --warm` does it now"
        return Finding("kernels", True, f"{ours} holds none", look)
    return Finding("kernels", True, f"{decoders} compiled in {ours}, which is ours alone")


def check_registry(settings: Settings) -> Finding:
    """Schemas in the registry: what we write must be the newest there; of events another may be meant."""
    from pipeline.app import SCHEMAS
    from pipeline.sources.registry import newest
    from pipeline.topics import EVENTS, topic_name

    url = settings.schema_registry_url
    if url is None:
        return Finding("schema registry", True, "none is set: values are framed as Avro single objects")
    ours = {topic_name(settings, base): name for base, name in SCHEMAS.items()}
    events = topic_name(settings, EVENTS)
    found = newest(url, (events, *ours))
    drifted = [topic for topic, name in ours.items() if (text := found[topic]) and not is_same(text, name)]
    if drifted:
        return Finding(
            "schema registry", False, f"the newest schema is not this version's of: {', '.join(drifted)}",
            "another version of Burnline writes there: run one version, or upgrade all; the newest wins",
        )  # fmt: skip
    unregistered = [topic for topic in ours if found[topic] is None]
    told = f"{len(ours) - len(unregistered)} of {len(ours)} schemas are registered, and this version's"
    if (text := found[events]) and (said := difference(text)):
        return Finding("schema registry", True, f"{told}; producers of {events} write {said}", "see that it is meant")
    if unregistered:
        return Finding("schema registry", True, told, "the first worker registers the rest")
    return Finding("schema registry", True, told)


def is_same(text: str, name: str) -> bool:
    """Whether a schema reads and writes as ours does; documentation and order of attributes say nothing."""
    from fastavro.schema import to_parsing_canonical_form

    from schemas import avro_text

    return bool(to_parsing_canonical_form(json.loads(text)) == to_parsing_canonical_form(json.loads(avro_text(name))))


def difference(text: str) -> str:
    """Say how a schema of events differs from ours: fields it has not, and those that nobody reads."""
    from schemas import avro_text

    theirs = {field["name"] for field in json.loads(text).get("fields", ())}
    ours = {field["name"] for field in json.loads(avro_text("inference_event"))["fields"]}
    parts = [
        f"{what} {', '.join(sorted(names)[:5])}{' ..' if len(names) > 5 else ''}"
        for what, names in (("without", ours - theirs), ("fields that are not read:", theirs - ours))
        if names
    ]
    return "; ".join(parts)
