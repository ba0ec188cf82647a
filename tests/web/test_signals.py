"""A list that is cut says so."""

from pipeline.web.asking import sql_of
from pipeline.web.signals import CUT, MOST, NOTE, note_of


def test_a_list_that_is_cut_says_so_and_what_to_ask_for() -> None:
    assert [note_of(count) for count in (0, 1, MOST - 1, MOST)] == [NOTE, None, None, CUT]
    assert sql_of("signals").endswith(f"LIMIT {MOST}")
