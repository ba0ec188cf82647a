"""The contracts, as data: Avro schemas, golden bytes, example SLOs, alert windows.

Nothing here but files and the door to them.
"""

from pathlib import Path

HOME = Path(__file__).parent


def avro_text(name: str) -> str:
    """Return the text of `schemas/avro/<name>.avsc`."""
    return (HOME / "avro" / f"{name}.avsc").read_text(encoding="utf-8")
