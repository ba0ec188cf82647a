"""Whatever is done to OpenSLO documents: SLOs or problems, never an exception."""

import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline.spec import SloSet, parse, presets
from tests.spec.openslo_samples import BY_KIND, CONDITION, DATA_SOURCE, EXAMPLES, POLICY, RATIO, SLI, TARGET, joined

TEXTS = [*BY_KIND.values(), RATIO, joined(RATIO + "  alertPolicies: [policy]\n", POLICY, CONDITION, TARGET)]
TEXTS += [file.read_text(encoding="utf-8") for file in sorted(EXAMPLES.glob("*.yaml"))]
TREES = [list(YAML(typ="safe", pure=True).load_all(text)) for text in TEXTS]

junk = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab1.-%/$()\n", max_size=5)
    | st.sampled_from(["burnline", "1M", "99.9", "[", "*a", "ttft", "policy", "chat", "2020-01-21 12:30:00"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


def paths(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything below a tree."""
    keys = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [each for key, child in keys for each in ((*path, key), *paths(child, (*path, key)))]


def changed(tree: Any, path: tuple[Any, ...], value: Any, how: str) -> Any:
    """Return a tree with one thing replaced, removed, renamed or doubled."""
    key, *rest = path
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    if rest:
        copy[key] = changed(copy[key], tuple(rest), value, how)
    elif how == "replace":
        copy[key] = value
    elif how == "remove":
        del copy[key]
    elif how == "double" and isinstance(copy, list):
        copy.append(copy[key])
    elif isinstance(copy, dict):
        copy[f"{key}s"] = copy.pop(key)
    return copy


def told(found: SloSet, slos: int, lines: int) -> None:
    """Every SLO is there, or something is said; whatever is said has a place and a way out."""
    for problem in (*found.problems, *found.unmeasured, *found.assumed):
        assert 1 <= problem.line <= lines
        assert problem.rule
        assert problem.remedy
    assert found.problems or len(found.slos) + len(found.unmeasured) >= slos


@given(st.data())
def test_a_mutated_document_is_slos_or_problems(data: st.DataObject) -> None:
    trees = list(data.draw(st.sampled_from(TREES)))
    for _ in range(data.draw(st.integers(1, 3))):
        spots = paths(trees)
        spot = data.draw(st.sampled_from([each for each in spots if len(each) > 1]))
        how = data.draw(st.sampled_from(["replace", "remove", "rename", "double"]))
        trees = changed(trees, spot, data.draw(junk), how)
    stream = io.BytesIO()
    YAML(typ="safe", pure=True).dump_all(trees, stream)
    lines = stream.getvalue().count(b"\n") + 1
    slos = sum(isinstance(tree, dict) and tree.get("kind") == "SLO" for tree in trees)
    told(parse({"f": stream.getvalue()}, presets()), slos, lines)


@given(st.sampled_from(TEXTS), st.data())
def test_a_damaged_text_is_slos_or_problems(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    damaged = text[:start] + data.draw(st.text("{}[]:,-?&*!|>'\"%@` \n#ab01", max_size=8)) + text[end:]
    found = parse({"f": damaged.encode(), "g": joined(SLI, DATA_SOURCE).encode()}, presets())
    told(found, 0, max(damaged.count("\n"), 20) + 1)
