"""Whom to turn away when only so much work may be let in: unit by unit, who is worth least first."""

from collections.abc import Mapping


def shares(limit: int, works: Mapping[int, int]) -> dict[int, float]:
    """Return the share of each class that is turned away; class 0 never is.

    Every class has so many units of work; as long as there are more than the limit, one of the class of least worth
    that has some left goes.
    """
    left = dict(works)
    while sum(left.values()) > limit:
        can_go = [each for each, units in left.items() if units > 0 and each != 0]
        if not can_go:
            break
        left[max(can_go)] -= 1
    return {each: (works[each] - left[each]) / works[each] if works[each] else 0.0 for each in works}
