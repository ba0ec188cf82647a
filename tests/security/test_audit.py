"""The audit fails for what is known to be vulnerable, and only for that; the bill of materials is whole."""

import json
import re
from pathlib import Path

import pytest

from tests.security.audit import LOCK, ROOT, Audit, bill_of_materials, read_audit, report

GOOD = {"name": "a", "version": "1", "vulns": []}
UNKNOWN = {"name": "b", "skip_reason": "not found"}
BAD = {
    "name": "c",
    "version": "2",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"], "aliases": [], "description": ""}],
}


@pytest.mark.parametrize(
    ("text", "failure", "expected"),
    [
        pytest.param(json.dumps({"dependencies": [GOOD, UNKNOWN]}), "", Audit(1, 1, ()), id="nothing known"),
        pytest.param(
            json.dumps({"dependencies": [GOOD, BAD]}), "", Audit(2, 0, ("  c 2: PYSEC-1, fixed in 3",)), id="one known"
        ),
        pytest.param(json.dumps({"dependencies": [UNKNOWN]}), "", Audit(0, 1, ()), id="a service that knows nobody"),
        pytest.param("", "ERROR\nConnection refused\n", Audit(0, 0, (), "Connection refused"), id="no service"),
        pytest.param("", "", Audit(0, 0, (), "it said nothing"), id="silence"),
    ],
)
def test_what_the_service_said_is_read(text: str, failure: str, expected: Audit) -> None:
    assert read_audit(text, failure) == expected


@pytest.mark.parametrize(
    ("audit", "code", "says"),
    [
        pytest.param(Audit(5, 0, ("  c 2: PYSEC-1",)), 1, "PYSEC-1", id="vulnerable"),
        pytest.param(Audit(0, 0, (), "refused"), 0, "cannot be reached", id="unreachable"),
        pytest.param(Audit(0, 9, ()), 0, "nothing was audited", id="knows nobody"),
        pytest.param(Audit(5, 1, ()), 0, "no known vulnerability in 5", id="clean"),
    ],
)
def test_only_a_known_vulnerability_fails(
    audit: Audit, code: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(tmp_path, {"components": []}, audit) == code
    assert says in capsys.readouterr().out
    assert (tmp_path / "sbom.json").exists()


def test_the_bill_lists_every_locked_package_with_a_hash_and_every_jar() -> None:
    components = bill_of_materials()["components"]
    locked = set(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", LOCK.read_text(), re.MULTILINE))
    normal = {re.sub(r"[-_.]+", "-", name).lower() for name, _ in locked}
    found = {re.sub(r"[-_.]+", "-", c["name"]).lower() for c in components if c.get("purl", "").startswith("pkg:pypi")}
    assert normal <= found and len(normal) > 50
    jars = [c for c in components if c.get("purl", "").startswith("pkg:maven")]
    lines = [line for line in (ROOT / "infra" / "kafka.lock").read_text().splitlines() if line and line[0] != "#"]
    assert len(jars) == len(lines) and all(jar["hashes"] for jar in jars)
