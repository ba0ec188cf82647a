"""The contracts, as data: Avro schemas, golden bytes, example SLOs, alert windows.

Nothing here but files and the door to them.
"""

from functools import cache
from pathlib import Path

HOME = Path(__file__).parent


@cache  # every block that is decoded asks for it
def avro_text(name: str) -> str:
    """Return the text of `schemas/avro/<name>.avsc`."""
    return (HOME / "avro" / f"{name}.avsc").read_text(encoding="utf-8")
