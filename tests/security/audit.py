"""`python -m tests.security.audit DIR`: what is known against the packages of requirements.lock, and a list of them.

A vulnerability that is known ends it with 1. An advisory service that cannot be reached, or knows none of our
packages, is said and does not: a check must work without a network too. The bill goes into DIR/sbom.json, CycloneDX:
every Python package with its hashes, and the jars of the embedded Kafka.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.embedded.jars import parse_lock

ROOT = Path(__file__).parent.parent.parent
LOCK = ROOT / "requirements.lock"
PATIENCE_S = 300


class Audit(NamedTuple):
    """What the advisory service said."""

    audited: int
    unknown: int  # packages it knows nothing about
    vulnerable: tuple[str, ...]
    failure: str = ""  # why it said nothing

    @property
    def in_words(self) -> str:
        if self.vulnerable:
            return "known vulnerabilities:\n" + "\n".join(self.vulnerable)
        if self.failure:
            return f"the advisory service cannot be reached, so nothing was audited: {self.failure}"
        if not self.audited:
            return f"the advisory service knows none of the {self.unknown} packages, so nothing was audited"
        return f"no known vulnerability in {self.audited} packages; {self.unknown} unknown to the service"


def read_audit(text: str, failure: str) -> Audit:
    """Read pip-audit's JSON; what is no JSON is its failure."""
    try:
        packages: list[dict[str, Any]] = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Audit(0, 0, (), failure.strip().splitlines()[-1][:300] if failure.strip() else "it said nothing")
    known = [package for package in packages if "skip_reason" not in package]
    found = tuple(
        f"  {package['name']} {package['version']}: {each['id']}, fixed in {', '.join(each['fix_versions']) or 'none'}"
        for package in known
        for each in package["vulns"]
    )
    return Audit(len(known), len(packages) - len(known), found)


def audited(lock: Path = LOCK) -> Audit:
    """Ask about every package of the lock file."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--disable-pip", "--require-hashes"]
    command += ["--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return Audit(0, 0, (), f"no answer within {PATIENCE_S} s")
    return read_audit(done.stdout, done.stderr)


def bill_of_materials(lock: Path = LOCK, jars: Path = ROOT / "infra" / "kafka.lock") -> dict[str, Any]:
    """Every package of the lock file and every jar, as CycloneDX."""
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", str(lock), "--output-reproducible", "--of", "JSON"]
    command += ["--pyproject", str(ROOT / "pyproject.toml")]
    bill: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    bill["components"] += [
        {
            "type": "library",
            "bom-ref": (place := f"pkg:maven/{jar.group}/{jar.artifact}@{jar.version}"),
            "group": jar.group,
            "name": jar.artifact,
            "version": jar.version,
            "purl": place,
            "hashes": [{"alg": "SHA-256", "content": jar.sha256}],
        }
        for jar in parse_lock(jars.read_text(encoding="utf-8"))
    ]
    return bill


def report(directory: Path, bill: dict[str, Any], audit: Audit) -> int:
    """Write the bill, say what the audit found; return the exit code."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "sbom.json").write_text(json.dumps(bill, indent=1), encoding="utf-8")
    sys.stdout.write(f"{directory / 'sbom.json'}: {len(bill['components'])} components\n")
    sys.stdout.write(f"pip-audit: {audit.in_words}\n")
    return 1 if audit.vulnerable else 0


if __name__ == "__main__":
    sys.exit(report(Path(sys.argv[1]), bill_of_materials(), audited()))
