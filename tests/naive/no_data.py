"""No-data alerts, slowly: every second asked, every slice looked for among all there are."""

from tests.naive.windows import is_measured


def no_data(slices: set[int], reach: int, end: int, hold: int) -> list[tuple[int, str]]:
    """(second, event) of one SLO's alert, judged from the first slice on up to second `end`."""
    told: list[tuple[int, str]] = []
    back = None
    for t in range(10 * min(slices) + 10, end + 1):
        is_open = bool(told) and told[-1][1] == "FIRED"
        if not is_measured(t // 10 - 1, slices, reach):
            back = None
            if not is_open:
                told.append((t, "FIRED"))
        elif is_open:
            back = t if back is None else back
            if t - back >= hold:
                told.append((t, "RESOLVED"))
    return told
