"""The specs of all controls: the sections of their file, and what they take from other settings.

Pure but for reading files.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.controls import gate_files
from pipeline.controls.files import load
from pipeline.controls.table import CONTROLS


def written(file: Path | None) -> dict[str, Any]:
    """Read the file of controls alone.

    Raises: SpecError with every problem.
    """
    return load(file, {control.name: control.spec for control in CONTROLS})


def sections(file: Path | None, gate_policy: Path | None, trailing_s: float) -> dict[str, Any]:
    """Read the spec of every control, by its name.

    Raises: SpecError with every problem of the first file that cannot be used.
    """
    found = written(file)
    found["gate"] = replace(found["gate"], policy=gate_files.load(gate_policy), trailing_s=trailing_s)
    return found
