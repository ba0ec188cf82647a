"""Files of scrape targets: what is written, what stands for the rest, and what cannot be."""

from pathlib import Path

import pytest

import schemas
from pipeline.sources.scrape_targets import Target, Targets, load, parse
from pipeline.spec.problems import SpecError

HEAD = "apiVersion: burnline/v1\nkind: ScrapeTargets\n"
WHOLE = """\
every: 5s
timeout: 500ms
targets:
  - url: http://10.0.0.5:8000
    service: chat
  - {url: "https://pool.example/x/metrics", service: chat, endpoint: chat-1, engine: sglang, model: m, region: eu,
     variant: h100-fp8, accelerator: nvidia-h100, gpuCount: 2, gpuHour: 2.49 USD, tokenFile: /run/secrets/token}
"""


def test_a_target_is_what_is_written_and_its_address_names_it() -> None:
    found = parse("t.yaml", (HEAD + WHOLE).encode())
    assert found == Targets(5.0, 0.5, (
        Target("http://10.0.0.5:8000", "chat", "10.0.0.5:8000"),
        Target("https://pool.example/x/metrics", "chat", "chat-1", "sglang", "m", "eu", "h100-fp8", "nvidia-h100", 2,
               2_490_000_000_000, Path("/run/secrets/token")),
    ))  # fmt: skip
    short = parse("t.yaml", f"{HEAD}targets: [{{url: http://a:1, service: s}}]\n".encode())
    assert (short.every_s, short.timeout_s) == (2.0, 1.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "targets", id="none"),
        pytest.param("targets: [{service: s}]\n", "url", id="no address"),
        pytest.param("targets: [{url: http://a:1}]\n", "service", id="no service"),
        pytest.param("targets: [{url: a:1, service: s}]\n", "must be an address", id="no scheme"),
        pytest.param("targets: [{url: 'http://u:p@a', service: s}]\n", "tokenFile", id="a password in the address"),
        pytest.param("targets: [{url: 'http://:p@a', service: s}]\n", "tokenFile", id="a password without a user"),
        pytest.param("targets: [{url: 'http://a:99999', service: s}]\n", "must be an address", id="no such port"),
        pytest.param("targets: [{url: http://a, service: s, engine: vlm}]\n", "vllm", id="no such engine"),
        pytest.param("targets: [{url: http://a, service: s, gpus: 2}]\n", "gpuCount|unknown|gpus", id="unknown key"),
        pytest.param(
            "every: 1s\ntimeout: 2s\ntargets: [{url: http://a, service: s}]\n", "longer than every", id="overlap"
        ),
        pytest.param("targets: [{url: http://a/1, service: s}, {url: http://a/2, service: s}]\n", "again", id="twice"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(text: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        parse("t.yaml", (HEAD + text).encode())


def test_a_file_that_is_not_there_is_a_problem_too(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        load(tmp_path / "none.yaml")


def test_the_example_is_one() -> None:
    found = load(schemas.HOME / "scrape_targets" / "example.yaml")
    assert [each.engine for each in found.targets] == ["vllm", "sglang", "triton", "llm-d-epp"]
