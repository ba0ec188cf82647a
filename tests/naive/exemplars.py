"""Exemplars, slowly: all of them are kept, and looked through when asked."""


def exemplars(known: list[tuple[int, str]], start: int, end: int) -> tuple[str, ...]:
    """The newest minute's first five, then those of the minute before, and so on, until five traces are found.

    The minute of `start` is the last one that is looked through.
    """
    inside = sorted({each for each in known if each[0] < end})
    found: list[str] = []
    for minute in sorted({second // 60 for second, _ in inside}, reverse=True):
        first_five = [each for each in inside if each[0] // 60 == minute][:5]
        found += [trace_id for _, trace_id in first_five if minute >= start // 60]
    return tuple(dict.fromkeys(found))[:5]
