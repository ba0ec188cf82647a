"""Oracle of the deploy gate: a policy as plain dictionaries, read rule by rule with one question after the other.

Nothing is shared with the product but the words: verdicts and severities are numbers, times of the week are listed
minute by minute.
"""

from typing import Any

OPEN, CAUTION, FROZEN = 0, 1, 2


def verdict_of(rules: list[dict[str, Any]], unknown: int, facts: dict[str, Any], minute: int) -> tuple[int, str]:
    """Return the verdict of one SLO instance and the rule it came from."""
    decided, name = None, ""
    for rule in rules:
        if decided is None and _fits(rule, facts, minute):
            decided, name = rule["verdict"], rule["name"]
    assert decided is not None
    if _is_unknown(facts) and unknown >= decided:
        return unknown, "unknown"
    return decided, name


def _fits(rule: dict[str, Any], facts: dict[str, Any], minute: int) -> bool:
    for name, is_at_most in (("budget", True), ("burn", False), ("coverage", True), ("change_spent", False)):
        if name in rule:
            if facts[name] is None:
                return False
            if is_at_most and facts[name] > rule[name]:
                return False
            if not is_at_most and facts[name] < rule[name]:
                return False
    if "alert" in rule and facts["alert"] < rule["alert"]:
        return False
    return "minutes" not in rule or minute in rule["minutes"]


def _is_unknown(facts: dict[str, Any]) -> bool:
    if facts["is_stale"] or facts["is_frozen"]:
        return True
    if facts["budget"] is None or not facts["has_burn_window"]:
        return True
    return facts["burn_coverage"] is None or facts["burn_coverage"] < 0.5


def worst(verdicts: list[int], unknown: int) -> int:
    """Return what a service's SLO instances come to."""
    return max(verdicts) if verdicts else unknown
