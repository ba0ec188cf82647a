"""What `burnline doctor` finds: of each check whether it is well, what was seen, and what to do.

A finding that is well and has a remedy is something to look at. A check is a row of the doctor's table.
"""

from collections.abc import Callable
from typing import NamedTuple

from pipeline.settings import Settings

WAIT_S = 5.0  #: for a broker


class Finding(NamedTuple):
    """One thing looked at."""

    check: str
    ok: bool
    detail: str
    remedy: str = ""


class Check(NamedTuple):
    """One thing to look at; `needs`: checks without whose success there is nothing to look at."""

    name: str
    look: Callable[[Settings], Finding]
    remedy: str  # when looking itself fails
    needs: tuple[str, ...] = ()
