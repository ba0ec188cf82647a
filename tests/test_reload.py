"""SLO files to SLOs in force: when a change is taken, in which order steps turn, and what is refused as a whole."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.agents.parts import Parts
from pipeline.framing import SINGLE_OBJECT
from pipeline.reload import Reloader, differences, digest, revision
from pipeline.settings import Settings
from pipeline.spec import SloSet, load, read

SLO = """\
apiVersion: burnline/v1
kind: SLO
metadata: {{name: {name}, labels: {{team: x}}}}
spec:
  service: chat
  indicator: {{metric: e2e, op: lte, threshold: {threshold}}}
  target: {target}
  timeWindow: {{duration: 30d, isRolling: true}}
  alerting: {{preset: default}}
"""
COMPOSITE = """\
apiVersion: burnline/v1
kind: SLO
metadata: {{name: both, labels: {{team: x}}}}
spec:
  composite: {{rule: weightedMean, objectives: [{{ref: a, weight: {weight}}}, {{ref: b}}]}}
  target: {target}
  timeWindow: {{duration: 30d, isRolling: true}}
  alerting: {{preset: default}}
"""
EVERY_S = 0.2
SETTLE_S = 0.3


def slo(name: str = "a", target: str = "0.9", threshold: str = "1s") -> str:
    return SLO.format(name=name, target=target, threshold=threshold)


class Step:
    """Remembers what it prepared for and when it turned."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.turns: list[tuple[float, SloSet]] = []

    def succeed(self, slos: SloSet) -> Callable[[], None]:
        if self.refusal:
            raise ValueError(self.refusal)
        return lambda: self.turns.append((time.monotonic(), slos))


class Site:
    """A directory, a reloader over it, and two steps."""

    def __init__(self, directory: Path, judge: Step | None = None, ingest: Step | None = None) -> None:
        settings = Settings(slo_dir=directory, slo_reload_s=EVERY_S)
        self.parts = Parts(settings, load([directory]).checked(), SINGLE_OBJECT, {})
        self.steps = {"judge": judge or Step(), "ingest": ingest or Step(), "store": Step()}
        self.reloader = Reloader(self.parts, self.steps, SETTLE_S)

    def look(self, times: int = 1) -> "Site":
        async def looks() -> None:
            for _ in range(times):
                await self.reloader.look()

        asyncio.run(looks())
        return self

    def turned(self, step: str) -> list[dict[str, float]]:
        """Targets by name, of each set that a step turned to."""
        return [{each.name: float(each.objective.target) for each in slos.slos} for _, slos in self.steps[step].turns]

    def reading(self, name: str) -> Any:
        return next(each.value for each in self.reloader.readings() if each.name == name)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text(slo())
    return tmp_path


def test_files_that_did_not_change_turn_nothing(directory: Path) -> None:
    site = Site(directory).look(times=2)
    assert site.turned("judge") == site.turned("ingest") == []


def test_judge_turns_first_and_ingest_a_whole_interval_later(directory: Path) -> None:
    site = Site(directory)
    (directory / "b.yaml").write_text(slo("b"))
    (directory / "a.yaml").write_text(slo(target="0.99"))
    site.look()
    assert site.turned("judge") == site.turned("ingest") == [{"a": 0.99, "b": 0.9}]
    assert site.steps["ingest"].turns[0][0] - site.steps["judge"].turns[0][0] >= EVERY_S
    assert [each.name for each in site.parts.slos.slos] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(COMPOSITE.format(target=0.95, weight=2), "changed", id="another target"),
        pytest.param(COMPOSITE.format(target=0.9, weight=3), "changed", id="another weight"),
        pytest.param("", "removed", id="removed"),
    ],
)
def test_a_composite_that_changes_is_put_in_force(directory: Path, text: str, said: str) -> None:
    (directory / "b.yaml").write_text(slo("b"))
    (directory / "both.yaml").write_text(COMPOSITE.format(target=0.9, weight=2))
    site = Site(directory)
    former = site.parts.slos
    (directory / "both.yaml").write_text(text or "# nothing any more\n")
    site.look()
    assert len(site.turned("judge")) == len(site.turned("ingest")) == 1
    assert differences(former, site.parts.slos) == {said: ["both"]}
    assert revision(former) != revision(site.parts.slos)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(slo() + "# a remark\n", id="a comment"),
        pytest.param("\n" + slo().replace("0.9", "0.90"), id="another way to write a number, another line"),
    ],
)
def test_what_changes_no_judgement_turns_nothing(directory: Path, text: str) -> None:
    site = Site(directory)
    (directory / "a.yaml").write_text(text)
    assert site.look().turned("judge") == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda d: (d / "b.yaml").write_text(slo("b", "99")), "b.yaml:7", id="a new file is wrong"),
        pytest.param(lambda d: (d / "a.yaml").write_text("spec: ["), "a.yaml", id="a file is no YAML any more"),
        pytest.param(lambda d: (d / "a.yaml").unlink(), "holds no SLO file", id="every file is gone"),
        pytest.param(lambda d: (d / "b.yaml").write_text(slo()), "a.yaml", id="two SLOs have one name"),
    ],
)
def test_a_refused_set_leaves_the_former_in_force_and_says_why_once(
    directory: Path, change: Callable[[Path], Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(directory)
    change(directory)
    site.look(times=3)
    assert site.turned("judge") == site.turned("ingest") == []
    assert [each.name for each in site.parts.slos.slos] == ["a"]
    assert said in site.reloader.notes()[0]
    assert site.reading("burnline_slo_reload_failed") == 1
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("SLO files are refused") == 1


def test_a_mended_set_is_taken_and_no_longer_refused(directory: Path) -> None:
    site = Site(directory)
    (directory / "a.yaml").write_text(slo(target="99"))
    site.look()
    (directory / "a.yaml").write_text(slo(target="0.99"))
    site.look()
    assert site.turned("ingest") == [{"a": 0.99}]
    assert site.reloader.notes() == ()
    assert (site.reading("burnline_slo_reload_failed"), site.reading("burnline_slo_reloads")) == (0, 1)


def test_no_step_turns_when_one_of_them_cannot(directory: Path) -> None:
    site = Site(directory, ingest=Step("too many digits"))
    (directory / "a.yaml").write_text(slo(target="0.99"))
    site.look()
    assert site.turned("judge") == site.turned("ingest") == []
    assert "too many digits" in site.reloader.notes()[0]
    assert float(site.parts.slos.slos[0].objective.target) == 0.9


def mounted(directory: Path, version: str, text: str) -> None:
    """Write files as Kubernetes mounts a config map: a hidden directory, and a link that is swapped."""
    hidden, link = directory / f"..{version}", directory / "..data"
    hidden.mkdir()
    (hidden / "a.yaml").write_text(text)
    draft = directory / "..draft"
    draft.symlink_to(hidden.name)
    draft.replace(link)
    if not (directory / "a.yaml").is_symlink():
        (directory / "a.yaml").symlink_to("..data/a.yaml")


def test_a_swapped_link_is_taken_when_contents_differ(tmp_path: Path) -> None:
    mounted(tmp_path, "1", slo())
    site = Site(tmp_path).look()
    mounted(tmp_path, "2", slo())
    site.look()
    assert site.turned("judge") == []
    mounted(tmp_path, "3", slo(target="0.99"))
    assert site.look().turned("judge") == [{"a": 0.99}]


def test_a_set_that_is_still_being_written_is_waited_for(directory: Path) -> None:
    """Files come one by one, each a good set with those before it: only the last set is taken."""
    site = Site(directory).look()

    async def written_meanwhile() -> None:
        (directory / "b0.yaml").write_text(slo("b0"))
        looking = asyncio.create_task(site.reloader.look())
        for number in range(1, 6):
            await asyncio.sleep(SETTLE_S / 3)
            (directory / f"b{number}.yaml").write_text(slo(f"b{number}"))
        await looking

    asyncio.run(written_meanwhile())
    assert [sorted(turn) for turn in site.turned("judge")] == [["a", "b0", "b1", "b2", "b3", "b4", "b5"]]


def test_a_step_that_was_made_anew_meanwhile_turns_too(directory: Path) -> None:
    site, anew = Site(directory), Step()
    judge = site.steps["judge"]

    def turn_and_fail(slos: SloSet) -> Callable[[], None]:
        def put() -> None:
            judge.turns.append((0.0, slos))
            site.steps["ingest"] = anew

        return put

    judge.succeed = turn_and_fail  # type: ignore[method-assign]
    (directory / "a.yaml").write_text(slo(target="0.99"))
    site.look()
    assert len(anew.turns) == 1


def test_sets_are_named_by_what_they_judge_whatever_the_files_are_called(tmp_path: Path) -> None:
    names = {}
    for folder, files in {
        "one": {"a.yaml": slo() + "---\n" + slo("b")},
        "two": {"z.yaml": slo(), "b.yaml": "# b\n" + slo("b")},
        "other": {"a.yaml": slo(), "b.yaml": slo("b", threshold="2s")},
    }.items():
        (tmp_path / folder).mkdir()
        for file, text in files.items():
            (tmp_path / folder / file).write_text(text)
        names[folder] = revision(load([tmp_path / folder]).checked())
    assert names["one"] == names["two"] != names["other"]


def test_contents_cannot_move_between_files_unseen(tmp_path: Path) -> None:
    seen = set()
    for first, second in (("ab", "c"), ("a", "bc")):
        (tmp_path / "a.yaml").write_text(first)
        (tmp_path / "b.yaml").write_text(second)
        seen.add(digest(read([tmp_path])))
    assert len(seen) == 2


def test_an_interval_of_zero_never_looks(directory: Path) -> None:
    site = Site(directory)
    site.reloader.parts.settings = Settings(slo_dir=directory, slo_reload_s=0)
    asyncio.run(asyncio.wait_for(site.reloader.run(), 60))


def test_a_fault_of_ours_is_said_and_looked_at_again(directory: Path) -> None:
    site = Site(directory)
    nothing: dict[SloSet, Callable[[], None]] = {}
    site.steps["ingest"].succeed = lambda slos: nothing[slos]  # type: ignore[method-assign]
    (directory / "a.yaml").write_text(slo(target="0.99"))

    async def until_said() -> None:
        running = asyncio.create_task(site.reloader.run())
        while not site.reloader.notes():
            await asyncio.sleep(0.05)
        del site.steps["ingest"].succeed
        (directory / "a.yaml").write_text(slo(target="0.95"))
        while not site.turned("ingest"):
            await asyncio.sleep(0.05)
        running.cancel()

    asyncio.run(asyncio.wait_for(until_said(), 60))
    assert site.turned("ingest") == [{"a": 0.95}]
