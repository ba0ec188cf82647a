"""What the API answers, as models: their JSON schema is the API's own description.

Pure. Law: what is unknown is null, never 0 and never a number that is none; times of objects are ISO 8601 in UTC, times
of series whole seconds of the epoch.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer


def iso(at: datetime) -> str:
    """Write a time, always to the microsecond."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


Time = Annotated[datetime, PlainSerializer(iso, return_type=str)]
Series = list[int | None]
Rates = list[float | None]


class Answer(BaseModel):
    """Frozen, and nothing but its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Wrong(Answer):
    """A field of what was sent that cannot be used."""

    field: str = Field(description="its path; empty: all of it")
    value: str | None = Field(description="as it was sent, in short; null: it was not")
    rule: str = Field(description="what it breaks, and what to write instead")


class Problem(Answer):
    """RFC 9457: what went wrong, and what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    parameter: str | None = Field(None, description="the parameter that is wrong")
    errors: list[Wrong] | None = Field(None, description="everything that is wrong with what was sent")
    last_good_at: Time | None = Field(None, description="when ClickHouse answered last")
    retry_after_s: float | None = None


class Fresh(Answer):
    """How fresh an answer is."""

    as_of: Time = Field(description="when ClickHouse was asked")
    watermark: Time | None = Field(description="event time up to which anything is judged; null: nothing is")
    stale: bool = Field(description="nobody judges what happens now")
    stale_s: float | None = Field(description="seconds since anything was judged; null: nothing ever was")
    stale_reason: str = Field(description="why it is stale, in words; empty: it is not")


class Burn(Answer):
    """A window of the alert rules, now."""

    window_s: int
    burn_rate: float | None
    coverage_ratio: float


class Contract(Answer):
    """The SLA beside an SLO."""

    target: float
    budget_remaining_ratio: float | None


class OpenAlert(Answer):
    """An alert of an SLO instance that is open."""

    dedup_key: str
    kind: str
    severity: str
    fired_at: Time
    acknowledged_by: str


class Row(Answer):
    """An SLO instance, now."""

    id: str = Field(description="of the SLO instance; the same for ever")
    slo: str
    instance: str
    labels: dict[str, str]
    service: str
    slo_labels: dict[str, str] | None = Field(description="of the SLO's metadata; null: there are no SLO files here")
    metric: str | None
    description: str | None
    revision: str
    target: float
    window_start: Time
    window_end: Time
    window_s: int
    good: int
    bad: int
    excluded: int
    compliance_ratio: float | None
    coverage_ratio: float
    budget_remaining_ratio: float | None
    budget_minutes: float
    time_to_exhaustion_s: float | None
    exhaustion_burn_rate: float | None
    sla: Contract | None
    burn: list[Burn]
    burn_rate: float | None = Field(description="over the shortest window")
    state: str
    severity: str
    standing: str = Field(description="in one word, the worst first: see the enum of the parameter `standing`")
    alerts: list[OpenAlert] | None = Field(description="those that are open; null: it is not known")
    late: int
    trend: Rates | None = Field(None, description="burn rate of each step; null: not asked for, or not known yet")


class Group(Answer):
    """Rows that share a value."""

    key: str
    instances: int
    summary: dict[str, int]
    compliance_ratio: float | None = Field(description="the worst in it")
    budget_remaining_ratio: float | None = Field(description="the worst in it")


class Fleet(Fresh):
    """SLO instances."""

    total: int
    matched: int
    summary: dict[str, int] = Field(description="how many of those that match have each standing")
    open_alerts: dict[str, int] | None = Field(description="how many, by severity; null: it is not known")
    groups: list[Group] | None
    items: list[Row]
    trend_step_s: int
    next_cursor: str | None
    sql: str


class Sibling(Answer):
    """An instance of an SLO, among others."""

    id: str
    instance: str
    standing: str
    burn_rate: float | None
    budget_remaining_ratio: float | None


class Condition(Answer):
    """What an SLO selects by."""

    label: str
    condition: str


class Pair(Answer):
    """Two windows that both have to burn at the factor."""

    severity: str
    factor: float
    long_s: int
    short_s: int


class Guards(Answer):
    """The least evidence without which nothing fires."""

    min_events: int
    min_bad: int
    min_coverage: float


class Promise(Answer):
    """What an SLA says."""

    target: float
    consequence: str


class MemberOf(Answer):
    """An SLO of a composite."""

    slo: str
    weight: float


class Definition(Answer):
    """An SLO as its file has it."""

    sentence: str
    description: str
    service: str
    metric: str
    threshold: int | None
    threshold_unit: str | None
    threshold_text: str
    where: list[Condition]
    group_by: list[str]
    vantage: str | None
    target: float
    window_s: int
    window_text: str
    is_calendar: bool
    budgeting_method: str
    sla: Promise | None
    pairs: list[Pair]
    guards: Guards
    members: list[MemberOf]
    labels: dict[str, str]
    annotations: dict[str, str]
    owner: str
    runbook: str
    source: str
    revision: str
    counts_revision: str


class Revision(Answer):
    """Since when, and until when, something was counted in one way."""

    revision: str
    first_at: Time
    last_at: Time
    is_current: bool


class Corrected(Answer):
    """What it would be without the time that corrections leave out."""

    corrected_minutes: int
    names: list[str]
    compliance_ratio: float | None
    budget_remaining_ratio: float | None


class OneSlo(Fresh):
    """An SLO, and one instance of it."""

    slo: str
    instance: str | None
    row: Row | None
    instances: list[Sibling]
    instances_total: int
    definition: Definition | None
    revisions: list[Revision]
    corrections: Corrected | None
    sql: dict[str, str]


class Chart(Answer):
    """A chart of an SLO instance."""

    as_of: Time
    since: int = Field(alias="from", serialization_alias="from")
    to: int
    step_s: int
    note: str | None = Field(description="why there is nothing to draw")
    sql: str


class BudgetChart(Chart):
    """What was left of the budget, from the beginning of the window on."""

    t: list[int]
    remaining_ratio: Rates
    window_start: Time
    window_end: Time
    budget_events: float


class WindowRates(Answer):
    """Burn rates over windows of one length."""

    window_s: int
    burn_rate: Rates


class BurnChart(Chart):
    """Burn rates over the windows that end at each point."""

    t: list[int]
    windows: list[WindowRates]
    thresholds: list[Pair]


class CountsChart(Chart):
    """What was counted in each step."""

    t: list[int]
    good: Series
    bad: Series
    excluded: Series


class LatencyChart(Chart):
    """Percentiles of each step, from sketches: 1 % relative error."""

    metric: str
    t: list[int]
    p50_us: Rates
    p95_us: Rates
    p99_us: Rates
    requests: Series
    objective_us: int | None
    is_shown_metric_judged: bool


class HeatMap(Chart):
    """How many requests of each step were how slow, from sketches."""

    metric: str
    t: list[int]
    edges_us: list[float]
    counts: list[list[int] | None]
    objective_us: int | None


class Mark(Answer):
    """Something that happened."""

    kind: str
    at: Time
    until: Time | None
    severity: str | None
    title: str
    detail: str
    dedup_key: str | None
    change_id: str | None = Field(description="of a change whose doing can be asked for: /slos/{name}/compared?change=")


class Marks(Chart):
    """What happened to an SLO instance."""

    items: list[Mark]


class Exemplar(Answer):
    """A trace of a bad request, as an alert carried it."""

    trace_id: str
    at: Time
    dedup_key: str
    severity: str
    window_s: int


class Exemplars(Chart):
    """Traces of bad requests, the newest first."""

    items: list[Exemplar]


class Request(Answer):
    """A request that is kept whole."""

    at: Time
    trace_id: str | None
    request_id: str
    value_us: int | None
    outcome: str
    http_status: int | None
    error_type: str | None
    tenant_id: str
    request_model: str
    region: str | None
    endpoint_id: str | None
    variant: str | None
    output_tokens: int | None
    is_bad: bool = Field(description="bad for some SLO; the others are a sample")


class Requests(Chart):
    """Requests of an SLO instance: bad ones and a sample, the slowest first."""

    metric: str
    items: list[Request]
