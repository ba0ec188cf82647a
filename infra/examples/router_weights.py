"""Weights for a router that has replicas of several variants of a model: as much traffic as each bears within its SLOs.

    python router_weights.py http://127.0.0.1:8080 chat llama-3.3-70b h100-fp8=4 a100-bf16=6

Prints JSON: variant -> share, which add up to 1. A variant's capacity is what the signal `capacity` says of it; while
that is not known of one of them the shares of before stay, which --before names; without any, replicas count alike.
With --tell the new shares come back to Burnline as a change, so that what follows can be compared with what was before:
its port wants the token of BURNLINE_HTTP_WRITE_TOKEN for that. A router goes on whether or not it is told.
"""

import argparse
import json
import sys
from typing import Any

from asking import in_force, tell


def weights(capacities: dict[str, float], replicas: dict[str, int], before: dict[str, float]) -> dict[str, float]:
    """Share traffic by capacity x replicas; hold what was where a capacity is not known."""
    if any(not capacities.get(variant) for variant in replicas):
        if before.keys() == replicas.keys():
            return before
        capacities = dict.fromkeys(replicas, 1.0)
    borne = {variant: capacities[variant] * number for variant, number in replicas.items()}
    return {variant: round(each / sum(borne.values()), 4) for variant, each in borne.items()}


def pairs(texts: list[str]) -> dict[str, float]:
    return {name: float(number) for name, _, number in (text.rpartition("=") for text in texts)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("service")
    parser.add_argument("model")
    parser.add_argument("replicas", nargs="+", help="variant=replicas")
    parser.add_argument("--before", nargs="*", default=[], help="variant=share, as it is now")
    parser.add_argument("--tell", action="store_true", help="tell Burnline of the change")
    given = parser.parse_args()
    before = pairs(given.before)
    replicas = {name: int(number) for name, number in pairs(given.replicas).items()}
    if sum(replicas.values()) <= 0 or min(replicas.values()) < 0:
        parser.error("no variant has replicas: write variant=replicas, with one above 0")
    capacities = in_force(given.address, given.service, given.model)["scopes"].get("capacity", {})
    shares = weights(capacities, replicas, before)
    sys.stdout.write(json.dumps(shares) + "\n")
    if given.tell and shares != before:
        tell(given.address, change(given.service, given.model, shares, before))


def change(service: str, model: str, shares: dict[str, float], before: dict[str, float]) -> dict[str, Any]:
    """Write what was decided as Burnline takes it: a knob for each variant."""
    return {
        "service": service, "request_model": model, "kind": "knob", "title": "router weights", "actor": "router",
        "before": {f"weight.{name}": str(share) for name, share in before.items()},
        "after": {f"weight.{name}": str(share) for name, share in shares.items()},
    }  # fmt: skip


if __name__ == "__main__":
    main()
