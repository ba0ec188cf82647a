"""Priorities for llm-d's flow control, out of the signal `shed`: classes that are to be shed become sheddable.

    python llmd_objectives.py http://127.0.0.1:8080 chat llama-3.3-70b --pool chat-llama \
        CRITICAL=10 HIGH_FAST=5 HIGH_SLOW=1 LOW=0 NO_SLO=-1 | kubectl apply -f -

Prints InferenceObjectives, named after the classes, with their usual priorities; that of a class which is to be shed is
below zero, which is what llm-d sheds first. What is expired or not known sheds nobody.
"""

import argparse
import json
import sys
from typing import Any

from asking import in_force

SHEDDABLE = -10  #: below every usual priority
API_VERSION = "inference.networking.x-k8s.io/v1alpha2"


def priorities(shed: dict[str, float], usual: dict[str, int]) -> dict[str, int]:
    """Put classes that are to be shed below all others, in their own order."""
    return {name: SHEDDABLE + min(usual[name], 0) if shed.get(name, 0.0) > 0 else usual[name] for name in usual}


def objectives(wanted: dict[str, int], pool: str) -> dict[str, Any]:
    """Write a list that kubectl takes."""
    items = [
        {
            "apiVersion": API_VERSION, "kind": "InferenceObjective",
            "metadata": {"name": name.lower().replace("_", "-")},
            "spec": {"priority": priority, "poolRef": {"name": pool}},
        }
        for name, priority in wanted.items()
    ]  # fmt: skip
    return {"apiVersion": "v1", "kind": "List", "items": items}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("service")
    parser.add_argument("model")
    parser.add_argument("--pool", required=True, help="the InferencePool that serves the model")
    parser.add_argument("classes", nargs="+", help="class=usual priority")
    given = parser.parse_args()
    usual = {name: int(number) for name, _, number in (text.rpartition("=") for text in given.classes)}
    shed = in_force(given.address, given.service, given.model)["scopes"].get("shed", {})
    sys.stdout.write(json.dumps(objectives(priorities(shed, usual), given.pool), indent=2) + "\n")


if __name__ == "__main__":
    main()
