"""Labels and their text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.series import BASE_LABELS, LABELS, PRIORITY_CLASSES, label_text, parse_label_text
from schemas import avro_text

VALUES = st.lists(st.text(alphabet=st.one_of(st.sampled_from("\\,=ab"), st.characters()), max_size=9), max_size=5)


@given(VALUES)
def test_label_text_reads_back_whatever_the_values_hold(values: list[str]) -> None:
    names = tuple(f"label_{i}" for i in range(len(values)))
    assert parse_label_text(label_text(names, tuple(values))) == dict(zip(names, values, strict=True))


@given(VALUES, VALUES)
def test_different_labels_have_different_texts(one: list[str], two: list[str]) -> None:
    n = min(len(one), len(two))
    names = tuple(f"label_{i}" for i in range(n))
    assert (label_text(names, tuple(one[:n])) == label_text(names, tuple(two[:n]))) == (one[:n] == two[:n])


@pytest.mark.parametrize(
    ("names", "values", "text"),
    [((), (), ""), (("a",), ("",), "a="), (("a", "b"), ("x,y", "1=2\\"), "a=x\\,y,b=1\\=2\\\\")],
)
def test_label_text_is_stable_it_is_part_of_keys(names: tuple[str, ...], values: tuple[str, ...], text: str) -> None:
    assert label_text(names, values) == text


def test_every_label_is_a_field_of_the_event_or_derived() -> None:
    assert set(BASE_LABELS) <= set(LABELS)
    assert all(
        f'"name": "{name}"' in avro_text("inference_event") for name, made in LABELS.items() if made != "derived"
    )
    assert PRIORITY_CLASSES == {-1: "sheddable", 0: "standard", 1: "critical"}
