"""YAML of plain values, for files that are no SLOs: mappings of traces, scenarios, lists of incidents.

Pure. Law: whatever the text is, depth and work are bounded, and what cannot be read is a ValueError. Aliases are
refused: with them a text of a few lines stands for more than memory holds.
"""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent

BYTES_MAX, DEPTH_MAX, NODES_MAX = 1 << 20, 16, 10_000  # the longest shipped file has 4 KB


def plain_document(data: bytes, nodes_max: int = NODES_MAX) -> Any:
    """Read one document of a size and shape that a person writes.

    Raises: ValueError.
    """
    if len(data) > BYTES_MAX:
        raise ValueError(f"larger than {BYTES_MAX} bytes")
    text, depth, nodes = data.decode("utf-8"), 0, 0
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            nodes += isinstance(event, NodeEvent)
            if isinstance(event, AliasEvent):
                raise ValueError("aliases are not read: write it out")
            if depth > DEPTH_MAX or nodes > nodes_max:
                raise ValueError(f"deeper than {DEPTH_MAX}, or more than {nodes_max} values")
        return YAML(typ="safe").load(text)
    except (YAMLError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"it is no YAML that can be read: {' '.join(str(error).split())[:300]}") from error
