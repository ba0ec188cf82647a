"""Expositions of engines, old names and new, become the same figures; what an engine does not say is not there."""

from pathlib import Path
from time import process_time
from typing import Any

import pytest

from pipeline.sources.engines import Unreadable, all_engines, recognised, samples_of, snapshot_of, table
from pipeline.spec.problems import SpecError

HOME = Path(__file__).parent / "expositions"
NOTHING: dict[str, Any] = {
    "running": None, "waiting": None, "kv_usage": None, "finished": None, "output_tokens": None, "started_at": None,
    "oldest_inflight_ms": None, "model": "", "ready": True,
}  # fmt: skip
#: exposition -> what it says
EXPECTED: dict[str, dict[str, Any]] = {
    "vllm": {  # two engines of a data-parallel server
        "engine": "vllm", "model": "llama-3.3-70b", "running": 79, "waiting": 5, "kv_usage": 0.734,
        "finished": 59_917, "output_tokens": 14_657_572, "started_at": 1_790_000_000_000_000,
    },
    "vllm_v0": {
        "engine": "vllm", "model": "mistral-7b", "running": 3, "waiting": 1, "kv_usage": 0.125, "finished": 108,
        "output_tokens": 27_453,
    },
    "sglang": {  # two data-parallel ranks, each of two that say the same; priorities beside their sum
        "engine": "sglang", "model": "qwen2.5-32b", "running": 23, "waiting": 3, "kv_usage": 0.31, "finished": 5_112,
        "output_tokens": 7_557_572,
    },
    "sglang_old": {
        "engine": "sglang", "model": "qwen2.5-7b", "running": 161, "waiting": 2_826, "kv_usage": 0.97,
        "finished": 11_228, "output_tokens": 7_557_572,
    },
    "tgi": {"engine": "tgi", "running": 4, "waiting": 7, "finished": 37, "output_tokens": 8_123},
    "triton_trtllm": {"engine": "triton", "running": 24, "waiting": 6, "kv_usage": 0.42, "finished": 810},
    "triton_trtllm_old": {"engine": "triton", "running": 12, "kv_usage": 0.25},
    "triton": {"engine": "triton", "waiting": 14, "finished": 500},
    "tensorrt-llm": {
        "engine": "tensorrt-llm", "model": "nemotron-nano", "running": 17, "waiting": 2, "kv_usage": 0.55,
        "finished": 155, "output_tokens": 91_000,
    },
    "tensorrt-llm_dynamo": {
        "engine": "tensorrt-llm", "model": "qwen3-0.6b", "running": 1, "kv_usage": 0.02, "finished": 12,
    },
    "llm-d-epp": {  # old names beside new ones count once
        "engine": "llm-d-epp", "running": 71, "waiting": 4, "kv_usage": 0.66, "finished": 60_100,
    },
    "llm-d-epp_router": {"engine": "llm-d-epp", "running": 8, "waiting": 5, "kv_usage": 0.1},
    "llm-d-epp_pool": {  # no engine of its pool is ready
        "engine": "llm-d-epp", "running": 3, "waiting": 1, "kv_usage": 0.2, "finished": 44, "output_tokens": 4_400,
        "ready": False,
    },
}  # fmt: skip


def exposition(name: str) -> str:
    return (HOME / f"{name}.txt").read_text("utf-8")


def test_every_exposition_is_expected_and_every_engine_has_one() -> None:
    assert {file.stem for file in HOME.glob("*.txt")} == set(EXPECTED)
    assert {each["engine"] for each in EXPECTED.values()} == set(all_engines())


@pytest.mark.parametrize("name", EXPECTED)
def test_an_exposition_says_what_its_engine_means(name: str) -> None:
    samples = samples_of(exposition(name))
    engine = recognised(samples)
    assert snapshot_of(engine, samples) == NOTHING | EXPECTED[name]


def test_a_name_that_was_given_up_counts_as_long_as_the_newer_one_is_not_there() -> None:
    older = exposition("llm-d-epp").replace(" 71", " 5")
    assert snapshot_of(all_engines()["llm-d-epp"], samples_of(older))["running"] == 71
    only_old = "\n".join(line for line in older.splitlines() if "llm_d_epp_request_running" not in line)
    assert snapshot_of(all_engines()["llm-d-epp"], samples_of(only_old))["running"] == 5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("up 1\n", "name the engine", id="of nobody known"),
        pytest.param("", "no series of", id="empty"),
        pytest.param("<html>not here</html>", "no metrics in Prometheus", id="a page"),
        pytest.param('[{"iter": 1}]', "no ", id="JSON"),
        pytest.param("process_start_time_seconds 1\n", "no series of", id="nothing but when it began"),
    ],
)
def test_what_is_no_engines_is_refused_with_what_to_look_at(text: str, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        recognised(samples_of(text))


def test_an_engine_that_shows_nothing_of_itself_is_refused_with_its_own_hint() -> None:
    with pytest.raises(Unreadable, match="start it with --enable-metrics"):
        snapshot_of(all_engines()["sglang"], samples_of(exposition("vllm")))


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "1e300"])
def test_what_is_no_number_of_requests_is_not_known(value: str) -> None:
    found = snapshot_of(all_engines()["tgi"], samples_of(f"tgi_queue_size 2\ntgi_batch_current_size {value}\n"))
    assert (found["running"], found["waiting"]) == (None, 2)


def test_a_sum_past_all_numbers_is_not_known() -> None:
    lines = "".join(f'tgi_batch_current_size{{rank="{rank}"}} 1e308\n' for rank in range(2))
    found = snapshot_of(all_engines()["tgi"], samples_of(f"tgi_queue_size 2\n{lines}"))
    assert (found["running"], found["waiting"]) == (None, 2)


@pytest.mark.parametrize("value", ["9" * 400, "1 " + "9" * 400], ids=["value", "time"])
def test_a_number_that_no_float_holds_is_refused(value: str) -> None:
    with pytest.raises(Unreadable, match="no metrics in Prometheus"):
        samples_of(f"tgi_batch_current_size {value}\n")


@pytest.mark.parametrize("name", ["x" * 257, "a\x1b[2J", "a\u202eb"], ids=["long", "control", "turned"])
def test_a_model_whose_name_is_none_is_not_known(name: str) -> None:
    text = f'vllm:num_requests_running{{model_name="{name}"}} 1\n'
    assert snapshot_of(all_engines()["vllm"], samples_of(text))["model"] == ""


LABELS = ",".join(f'l{i}="v"' for i in range(700_000))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param("python_gc 1\n" * 500_000, "", id="series of nobody"),
        pytest.param("# TYPE tgi_queue_size gauge\n" * 250_000, "", id="comments"),
        pytest.param(f"other{{{LABELS}}} 1\n", "", id="labels of a series of nobody"),
        pytest.param(f"tgi_batch_current_size{{{LABELS}}} 1\n", "more than 4096 characters", id="labels"),
        pytest.param('tgi_batch_current_size{a="1"} 1\n' * 250_000, "more than 1 MB", id="samples"),
    ],
)
def test_megabytes_are_read_or_refused_at_once(line: str, says: str) -> None:
    """The parser takes a second for a MB, and hours for one line of it."""
    text = f"tgi_queue_size 2\n{line}"
    began_s = process_time()
    if says:
        with pytest.raises(Unreadable, match=says):
            samples_of(text)
    else:
        assert snapshot_of(all_engines()["tgi"], samples_of(text))["waiting"] == 2
    assert process_time() - began_s < 2


def test_models_of_several_names_are_none() -> None:
    text = 'vllm:num_requests_running{model_name="a"} 1\nvllm:num_requests_running{model_name="b"} 2\n'
    found = snapshot_of(all_engines()["vllm"], samples_of(text))
    assert (found["model"], found["running"]) == ("", 3)


def test_a_share_of_nothing_is_not_known() -> None:
    text = "\n".join(f'nv_trt_llm_kv_cache_block_metrics{{kv_cache_block_type="{name}"}} 0' for name in ("used", "max"))
    found = snapshot_of(all_engines()["triton"], samples_of(f"{text}\nnv_inference_pending_request_count 1\n"))
    assert found["kv_usage"] is None


def test_a_table_tells_all_its_problems() -> None:
    text = b"apiVersion: burnline/v1\nkind: EngineMetrics\nname: x\nrunning: [{series: a, where: [b], combine: mean}]\n"
    with pytest.raises(SpecError) as refused:
        table("x.yaml", text)
    assert len(refused.value.problems) == 4  # path and hint, a label without value, a way to combine
