"""docker-compose.yml and infra/Dockerfile agree with each other, with Settings and with the embedded servers.

The file is parsed twice: by compose-spec, which knows the Compose Specification's types, and as plain YAML.
"""

import re
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import compose_spec
import pytest
from ruamel.yaml import YAML
from typer.main import get_command

import infra
from pipeline import topics
from pipeline.embedded import clickhouse_config, jars
from pipeline.embedded.kafka import PROPERTIES
from pipeline.settings import PREFIX, Settings, documented
from pipeline.sinks.migrations import load, views

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = YAML(typ="safe", pure=True).load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (infra.HOME / "Dockerfile").read_text()
DEFAULTS = Settings.model_construct()
OURS = [name for name, service in SERVICES.items() if service.get("build")]
RUNS_ON = [name for name, service in SERVICES.items() if name not in ("migrate", "simulator")]


def ports(service: str) -> set[str]:
    """Published ports as host:published:target."""
    return set(SERVICES[service].get("ports", ()))


def parse(text: str) -> compose_spec.PyCompose:
    """Read a Compose file strictly; merge keys are YAML's, not the specification's."""
    return compose_spec.PyOptions(apply_merge=True).from_yaml(text)


def instructions(name: str) -> list[str]:
    """The arguments of one kind of Dockerfile instruction, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    return [line.partition(" ")[2] for line in joined.splitlines() if line.startswith(f"{name} ")]


def test_the_file_follows_the_compose_specification() -> None:
    assert parse(TEXT).service_names() == list(SERVICES)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("healthcheck:", "helthcheck:"), id="a misspelled key"),
        pytest.param(("127.0.0.1:9092:9092", "127.0.0.1:99999:9092"), id="a port that is none"),
        pytest.param(("interval: 5s", "interval: soon"), id="an interval that is none"),
        pytest.param(("service_healthy", "service_well"), id="an unknown condition"),
    ],
)
def test_the_specification_would_refuse(change: tuple[str, str]) -> None:
    assert change[0] in TEXT
    with pytest.raises(ValueError):
        parse(TEXT.replace(*change))


def test_every_variable_of_ours_is_a_setting() -> None:
    known = {line.variable for line in documented()}
    given = {name for service in SERVICES.values() for name in service.get("environment", {})}
    given |= set(re.findall(rf"{PREFIX}\w+", DOCKERFILE)) | set(re.findall(rf"{PREFIX}\w+", TEXT))
    assert {name for name in given if name.startswith(PREFIX)} <= known


def test_the_values_make_valid_settings() -> None:
    for name in OURS:
        values = {
            variable.removeprefix(PREFIX).lower(): value for variable, value in SERVICES[name]["environment"].items()
        }
        Settings(**values)


def test_published_ports_are_the_settings_defaults_on_loopback() -> None:
    assert ports("kafka") == {f"{DEFAULTS.kafka_brokers}:9092"}
    native = re.search(r"@([\d.]+:\d+)/", DEFAULTS.clickhouse_url)
    assert native
    assert f"{native[1]}:9000" in ports("clickhouse")
    assert all(port.startswith("127.0.0.1:") for service in SERVICES for port in ports(service))


def test_workers_reach_both_servers_by_their_service_names() -> None:
    listeners = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    for name in OURS:
        environment = SERVICES[name]["environment"]
        assert f"INSIDE://{environment['BURNLINE_KAFKA_BROKERS']}" in listeners
        assert environment["BURNLINE_CLICKHOUSE_URL"] == DEFAULTS.clickhouse_url.replace("127.0.0.1", "clickhouse")
    assert f"OUTSIDE://{DEFAULTS.kafka_brokers}" in listeners


def test_users_and_their_grants_are_the_embedded_servers_users() -> None:
    environment = SERVICES["clickhouse"]["environment"]
    admin = SERVICES["migrate"]["environment"]
    assert environment["CLICKHOUSE_USER"] == clickhouse_config.ADMIN == admin["BURNLINE_CLICKHOUSE_ADMIN_USERNAME"]
    assert environment["CLICKHOUSE_PASSWORD"] == admin["BURNLINE_CLICKHOUSE_ADMIN_PASSWORD"]
    assert environment["CLICKHOUSE_DB"] == clickhouse_config.DATABASE
    writers = SERVICES["worker"]["environment"]
    assert environment["CLICKHOUSE_WRITER_PASSWORD"] == writers["BURNLINE_CLICKHOUSE_PASSWORD"]
    assert not [name for name in writers if "ADMIN" in name]
    users = ElementTree.fromstring(COMPOSE["configs"]["clickhouse_users"]["content"])
    granted = {clickhouse_config.WRITER: clickhouse_config.WRITER_GRANTS,
               clickhouse_config.READER: clickhouse_config.reader_grants(views(load()))}  # fmt: skip
    for name, grants in granted.items():
        user = users.find(f"users/{name}")
        assert user is not None
        assert [grant.text for grant in user.iter("query")] == list(grants)
        password = user.find("password")
        assert password is not None
        assert password.get("from_env") in environment


def test_images_are_the_versions_that_tests_run_on() -> None:
    locked = jars.parse_lock((infra.HOME / "kafka.lock").read_text())
    kafka = next(jar.version for jar in locked if jar.artifact == "kafka_2.13")
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka}"
    lock = (ROOT / "requirements.lock").read_text()
    engine = re.search(r"^chdb-core==(\d+\.\d+)\.", lock, re.MULTILINE)
    assert engine
    assert SERVICES["clickhouse"]["image"] == f"clickhouse/clickhouse-server:{engine[1]}"


def test_our_image_has_the_projects_version_and_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {SERVICES[name]["image"] for name in OURS} == {f"burnline:{project['version']}"}
    versions = re.findall(r"^FROM python:3\.(\d+)-slim", DOCKERFILE, re.MULTILINE)
    oldest = int(project["requires-python"].removeprefix(">=3."))
    assert len(set(versions)) == 1
    assert int(versions[0]) >= oldest


def test_the_broker_takes_the_largest_message_of_any_topic() -> None:
    largest = max(int(spec.config.get("max.message.bytes", 0)) for spec in topics.topics().values())
    limit = int(SERVICES["kafka"]["environment"]["KAFKA_MESSAGE_MAX_BYTES"])
    assert limit >= largest
    assert f"message.max.bytes={limit}\n" in PROPERTIES


@pytest.mark.parametrize("name", OURS)
def test_our_commands_exist(name: str) -> None:
    from pipeline.cli import app

    commands = getattr(get_command(app), "commands", {})
    assert SERVICES[name]["command"][0] in commands
    assert instructions("ENTRYPOINT") == ['["burnline"]']


@pytest.mark.parametrize("name", RUNS_ON)
def test_what_runs_on_has_a_healthcheck_and_restarts(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_dependencies_that_must_be_healthy_can_say_so() -> None:
    for service in SERVICES.values():
        for name, dependency in service.get("depends_on", {}).items():
            assert dependency["condition"] != "service_healthy" or "healthcheck" in SERVICES[name]


def test_volumes_and_configs_are_declared_and_used() -> None:
    named = {
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
        if isinstance(volume, str)
    }
    assert named == set(COMPOSE["volumes"])
    used = {config["source"] for service in SERVICES.values() for config in service.get("configs", ())}
    assert used == set(COMPOSE["configs"])


def test_the_workers_directories_are_those_of_the_image() -> None:
    environment = dict(pair.split("=", 1) for pair in instructions("ENV")[0].split())
    bind, data = SERVICES["worker"]["volumes"]
    assert bind["target"] == environment["BURNLINE_SLO_DIR"]
    assert (ROOT / bind["source"]).is_dir()
    assert data.partition(":")[2] == environment["BURNLINE_DATA_DIR"] == instructions("VOLUME")[0]


def test_the_image_runs_without_root_and_installs_by_hash() -> None:
    assert instructions("USER") == ["burnline"]
    assert any("--require-hashes -r requirements.lock" in line for line in instructions("RUN"))
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    copied = {line.split()[0] for line in instructions("COPY")}
    assert {pattern.rstrip("*") for pattern in packages["find"]["include"]} <= copied
    assert all((ROOT / source).exists() for source in copied - {"--from=build"} if "." not in source)


def test_the_makefile_and_the_image_install_with_the_same_tool() -> None:
    pinned = set(re.findall(r"uv==[\d.]+", (ROOT / "Makefile").read_text() + DOCKERFILE))
    assert len(pinned) == 1


@pytest.mark.parametrize("package", ["schemas", "infra"])
def test_an_installed_package_has_all_its_data(package: str) -> None:
    """The image installs a wheel, not this checkout."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][package]
    shipped = {path for pattern in patterns for path in (ROOT / package).glob(pattern)}
    data = {path for path in (ROOT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path for path in data - shipped if path.suffix != ".py"} == set()
