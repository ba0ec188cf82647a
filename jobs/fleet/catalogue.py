"""What the fleet is made of: models, the variants they run on, workloads, regions. Tables only.

Speeds are round figures in the range that public benchmarks of such engines give (MLPerf Inference server
scenario, vLLM release notes); prices are round list prices of hosted offers. They shape the traffic and claim
nothing.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """Hardware and configuration a replica runs on; `slowdown` multiplies the model's times."""

    name: str
    accelerator: str
    gpu_count: int
    slowdown: float


@dataclass(frozen=True)
class Model:
    """One model as the engines serve it."""

    name: str
    response_model: str
    engine: str
    prefill_us_per_token: float
    tpot_us: float
    batch_max: int
    batching_cost: float  # how much longer a token takes in a full batch than alone, as a share
    reasoning_ratio: float  # share of output tokens that are not visible
    input_picousd: int  # per token
    cached_picousd: int
    output_picousd: int
    variants: tuple[Variant, Variant]


@dataclass(frozen=True)
class Workload:
    """One service's use of one model: who calls, how much, and how patiently."""

    service: str
    operation: str
    model: str
    share: float
    input_median: float
    input_sigma: float
    output_median: float  # 0: no tokens out
    output_sigma: float
    stream_ratio: float
    cached_ratio: float  # share of the input that hits a cached prefix, on average
    priority: int
    objective: str
    slo_ttft_ms: int
    slo_tpot_ms: int
    patience_s: float  # median; a client that waits longer goes away
    deadline_s: float


H100_FP8 = Variant("h100-fp8-tp2", "nvidia-h100", 2, 1.0)
A100_BF16 = Variant("a100-bf16-tp4", "nvidia-a100", 4, 1.2)
H100_MXFP4 = Variant("h100-mxfp4-tp1", "nvidia-h100", 1, 1.0)
MI300X = Variant("mi300x-bf16-tp1", "amd-mi300x", 1, 1.1)
L40S = Variant("l40s-fp16-tp1", "nvidia-l40s", 1, 1.0)
L4 = Variant("l4-fp16-tp1", "nvidia-l4", 1, 1.3)

MODELS = (
    Model("llama-3.3-70b", "llama-3.3-70b-instruct", "vllm", 55.0, 19_000.0, 96, 0.9, 0.0,
          590_000, 295_000, 790_000, (H100_FP8, A100_BF16)),
    Model("qwen2.5-32b", "qwen2.5-32b-instruct", "sglang", 30.0, 12_000.0, 128, 0.8, 0.0,
          290_000, 145_000, 390_000, (H100_FP8, MI300X)),
    Model("gpt-oss-120b", "gpt-oss-120b", "vllm", 22.0, 7_000.0, 160, 1.1, 0.35,
          150_000, 75_000, 600_000, (H100_MXFP4, MI300X)),
    Model("embed-large", "embed-large-v3", "tei", 9.0, 0.0, 256, 0.6, 0.0,
          20_000, 20_000, 0, (L40S, L4)),
)  # fmt: skip

WORKLOADS = (
    Workload(
        "chat", "chat", "llama-3.3-70b", share=0.26, input_median=900, input_sigma=0.9, output_median=170,
        output_sigma=0.8, stream_ratio=0.92, cached_ratio=0.35, priority=1, objective="interactive",
        slo_ttft_ms=1000, slo_tpot_ms=50, patience_s=900, deadline_s=120,
    ),
    Workload(
        "chat", "chat", "gpt-oss-120b", share=0.22, input_median=800, input_sigma=0.9, output_median=260,
        output_sigma=0.8, stream_ratio=0.95, cached_ratio=0.35, priority=1, objective="interactive",
        slo_ttft_ms=1000, slo_tpot_ms=30, patience_s=900, deadline_s=120,
    ),
    Workload(
        "assist", "chat", "qwen2.5-32b", share=0.18, input_median=1800, input_sigma=0.8, output_median=60,
        output_sigma=0.9, stream_ratio=0.85, cached_ratio=0.55, priority=0, objective="standard",
        slo_ttft_ms=1500, slo_tpot_ms=40, patience_s=600, deadline_s=60,
    ),
    Workload(
        "assist", "text_completion", "gpt-oss-120b", share=0.10, input_median=500, input_sigma=0.7,
        output_median=24, output_sigma=0.6, stream_ratio=0.50, cached_ratio=0.20, priority=0,
        objective="standard", slo_ttft_ms=1500, slo_tpot_ms=40, patience_s=300, deadline_s=30,
    ),
    Workload(
        "batch", "chat", "qwen2.5-32b", share=0.08, input_median=2500, input_sigma=0.7, output_median=220,
        output_sigma=0.7, stream_ratio=0.00, cached_ratio=0.10, priority=-1, objective="batch",
        slo_ttft_ms=30000, slo_tpot_ms=200, patience_s=90000, deadline_s=600,
    ),
    Workload(
        "batch", "chat", "llama-3.3-70b", share=0.04, input_median=2200, input_sigma=0.7, output_median=240,
        output_sigma=0.7, stream_ratio=0.00, cached_ratio=0.10, priority=-1, objective="batch",
        slo_ttft_ms=30000, slo_tpot_ms=200, patience_s=90000, deadline_s=600,
    ),
    Workload(
        "search", "embeddings", "embed-large", share=0.12, input_median=350, input_sigma=0.6, output_median=0,
        output_sigma=0.0, stream_ratio=0.00, cached_ratio=0.00, priority=0, objective="standard",
        slo_ttft_ms=0, slo_tpot_ms=0, patience_s=120, deadline_s=10,
    ),
)  # fmt: skip

OUTPUT_TOKENS_MAX = 2048
INPUT_TOKENS_MAX = 65_536


@dataclass(frozen=True)
class Region:
    """Where replicas stand; `peak_h` is the hour of the day (UTC) at which its load is greatest."""

    name: str
    share: float
    peak_h: float


REGIONS = (Region("eu-west", 0.4, 13.0), Region("us-east", 0.4, 19.0), Region("ap-south", 0.2, 7.0))

TENANTS = (
    "acme", "zen", "globex", "initech", "umbrella", "hooli", "stark", "wayne", "wonka", "tyrell",
    "cyberdyne", "soylent", "aperture", "oscorp", "vandelay", "dunder", "prestige", "sterling", "massive",
    "pied",
)  # fmt: skip
PROVIDER = "in-house"
PRICE_VERSION = "list-1"
ADAPTERS = (
    None,
    "acme-legal-lora",
    "zen-support-lora",
)  # of the first two tenants, on half of their requests
