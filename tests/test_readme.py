"""What the README tells readers to type works: its SQL, its SLO, its commands, its settings."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from pipeline import topics
from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import READER
from pipeline.settings import documented

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


QUERIES = [query for block in blocks("sql") for query in block.split(";")]


@pytest.mark.servers
@pytest.mark.parametrize("query", QUERIES)
def test_the_reader_may_ask_the_readmes_questions(clickhouse: EmbeddedClickHouse, query: str) -> None:
    clickhouse.client(READER).execute(query)


def test_the_readmes_slo_is_valid(tmp_path: Path) -> None:
    from pipeline.spec import load

    (example,) = blocks("yaml")
    (tmp_path / "slo.yaml").write_text(example)
    found = load([tmp_path])
    assert list(found.problems) == []
    assert len(found.slos) == 1


def test_the_settings_table_is_the_settings() -> None:
    told = {line.variable: line for line in documented()}
    rows = re.findall(r"^\| `(BURNLINE_\w+)` \|\s*(.*?)\s*\|\s*(.*?)\s*\|$", README, re.MULTILINE)
    assert len(rows) >= 8
    for variable, default, meaning in rows:
        assert default.strip("` ") == told[variable].default
        assert meaning.replace("`", "").startswith(told[variable].description.replace("`", ""))
    assert set(re.findall(r"BURNLINE_[A-Z_]+[A-Z]", README + CHANGELOG)) <= set(told)


def test_every_command_that_is_told_of_exists() -> None:
    from pipeline.cli import app

    commands = getattr(get_command(app), "commands", {})
    told = set(re.findall(r"`?burnline ([\w-]+)", "\n".join(blocks("sh")))) | set(
        re.findall(r"`burnline ([\w-]+)", README + CHANGELOG)
    )
    assert told <= set(commands)
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make (demo|test|check|bench)", README)) <= targets


def test_every_topic_and_file_that_is_told_of_exists() -> None:
    named = set(re.findall(r"`((?:slo|inference)\.[a-z.]+)`", README + CHANGELOG))
    assert named <= set(topics.NAMES)
    paths = re.findall(r"`((?:schemas|infra|tests|pipeline|jobs)/[\w/.-]*)`", README + CHANGELOG)
    assert [path for path in paths if not (ROOT / path).exists()] == []
