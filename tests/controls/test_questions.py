"""Answers: a question about one service that has none takes no other with it, and nothing is made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.controls.questions import MISSING, MISSING_MOST, Question, Row, answers


class Server:
    """Answers a question with its own SQL, unless that says no."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def rows(self, question: Question) -> list[Row]:
        self.asked.append(question.sql)
        if question.sql == "no":
            raise ConnectionError(question.name + question.part)
        return [{"said": question.sql, "of": question.part}]


def asked(*questions: Question) -> tuple[dict[str, list[Row]], list[str]]:
    missing: list[str] = []
    found = answers(questions, Server().rows, lambda part, error: missing.append(f"{part}: {error}"))
    return {name: list(rows) for name, rows in found.items()}, missing


def part(name: str, service: str, sql: str = "yes") -> Question:
    return Question(name, sql, part=service)


def test_rows_of_questions_of_one_name_come_as_one_list_without_those_that_have_no_answer() -> None:
    found, missing = asked(part("load", "a"), part("load", "b", "no"), part("load", "c"), Question("day", "yes"))
    assert [row["of"] for row in found["load"]] == ["a", "c"]
    assert (list(found), missing) == (["load", "day", MISSING], ["b: loadb"])
    assert found[MISSING] == [{"question": "load", "part": "b"}]


def test_without_an_answer_that_is_not_needed_what_the_others_say_is_known_and_that_it_is_missing() -> None:
    found, missing = asked(Question("load", "yes"), Question("queue", "no", is_needed=False), Question("day", "yes"))
    assert (list(found), missing) == (["load", "day", MISSING], ["queue: queue"])
    assert found[MISSING] == [{"question": "queue", "part": ""}]


@pytest.mark.parametrize(
    "questions",
    [
        pytest.param([Question("day", "no"), part("load", "a")], id="one about all services"),
        pytest.param([part("load", "a", "no"), part("load", "b", "no"), part("day", "a")], id="every part of a name"),
        pytest.param(
            [Question("day", "yes"), *(Question(str(n), "no", is_needed=False) for n in range(MISSING_MOST + 1))],
            id="too many that are not needed",
        ),
        pytest.param(
            [part("load", "z"), *(part("load", str(n), "no") for n in range(MISSING_MOST + 1))], id="one too many"
        ),
    ],
)
def test_what_nothing_can_be_decided_without_is_an_error(questions: list[Question]) -> None:
    with pytest.raises(ConnectionError):
        asked(*questions)


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_a_server_that_is_away_is_not_waited_for_by_every_service(are_answered: list[bool]) -> None:
    server, missing = Server(), list[str]()
    questions = [part("load", str(n), "yes" if is_there else "no") for n, is_there in enumerate(are_answered)]
    try:
        found = answers(questions, server.rows, lambda service, _: missing.append(service))
    except ConnectionError:
        assert not any(are_answered) or are_answered.count(False) > MISSING_MOST
        assert server.asked.count("no") <= MISSING_MOST + 1
    else:
        assert len(found["load"]) + len(missing) == len(are_answered)
