"""The edge: directories, and files that cannot be read."""

import os
from pathlib import Path

import pytest

import schemas
from pipeline.alerts import AlertPolicy, ClearRule, Severity, WindowPair
from pipeline.slo import Ratio
from pipeline.spec import load, presets
from pipeline.spec.document import BYTES_MAX
from tests.spec.samples import GOOD, SHORT, spoiled

S = 1_000_000


def _rules(paths: list[Path]) -> list[tuple[str, str]]:
    return [(Path(problem.file).name, problem.rule) for problem in load(paths).problems]


def test_a_directory_is_read_to_its_leaves_in_order(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yml").write_text(SHORT)
    (tmp_path / "notes.txt").write_text("not: [an SLO")
    found = load([tmp_path])
    assert found.problems == ()
    assert [slo.name for slo in found.slos] == ["short", "chat-ttft"]
    assert found.slos[1].source.file == str(tmp_path / "deep" / "er" / "a.yaml")


def test_a_mounted_directory_of_kubernetes_is_read_once(tmp_path: Path) -> None:
    version = tmp_path / "..2026_01_01"
    version.mkdir()
    (version / "a.yaml").write_text(GOOD)
    (tmp_path / "..data").symlink_to(version.name)
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    found = load([tmp_path])
    assert found.problems == ()
    assert len(found.slos) == 1


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(GOOD)
    assert len(load([tmp_path, file]).slos) == 1


def test_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(spoiled(("target: 0.99", "target: 99")))
    (tmp_path / "b.yaml").write_text(SHORT)
    (tmp_path / "c.yaml").write_text(SHORT + "  guards: {minBad: x}\n")
    (tmp_path / "d.yaml").write_bytes(b"\xff")
    assert _rules([tmp_path]) == [
        ("a.yaml", "must be a ratio in (0, 1)"),
        ("c.yaml", f"must be unique; {tmp_path / 'b.yaml'}:1 has this name too"),
        ("c.yaml", "must be a whole number, 0 or more"),
        ("d.yaml", "must be UTF-8 text; byte 0 is not"),
    ]


def test_an_empty_directory_is_a_problem_with_a_way_out(tmp_path: Path) -> None:
    (problem,) = load([tmp_path]).problems
    assert (problem.file, problem.rule) == (str(tmp_path), "holds no SLO file (*.yaml, *.yml)")
    assert "burnline slo new" in problem.remedy


def test_a_file_of_comments_is_no_slo(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# later\n---\n")
    assert _rules([tmp_path]) == [("a.yaml", "holds no SLO")]
    (tmp_path / "b.yaml").write_text(SHORT)
    assert _rules([tmp_path]) == []


def test_a_path_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert _rules([tmp_path / "no.yaml"]) == [("no.yaml", "does not exist")]


def test_a_pipe_is_a_problem_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    assert _rules([tmp_path]) == [("a.yaml", "is no regular file")]


def test_a_link_in_a_circle_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("a.yaml")
    ((name, rule),) = _rules([tmp_path])
    assert name == "a.yaml"
    assert rule.startswith(("cannot be read", "does not exist"))


def test_a_large_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "a.yaml").open("wb") as file:
        file.truncate(1 << 33)
    assert _rules([tmp_path]) == [("a.yaml", f"must be at most {BYTES_MAX} bytes")]


@pytest.mark.parametrize("name", ["default", "workbook"])
def test_the_presets_are_sound(name: str) -> None:
    for pair in presets().windows[name].pairs:
        assert pair.short_us < pair.long_us
    assert len(set(presets().windows[name].pairs)) == len(presets().windows[name].pairs)


def test_the_default_preset_is_the_contracts() -> None:
    assert presets().windows["default"] == AlertPolicy(
        (
            WindowPair(Severity.CRITICAL, Ratio(10, 1), 3_600 * S, 300 * S),
            WindowPair(Severity.WARNING, Ratio(2, 1), 86_400 * S, 7_200 * S),
        ),
        clear=ClearRule(Ratio(1, 10), 60 * S),
    )
    assert sorted(presets().windows) == sorted(file.stem for file in (schemas.HOME / "alert_windows").iterdir())
