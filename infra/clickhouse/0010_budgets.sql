-- Budgets: events at steps spent, of SLOs and of the SLAs beside them; the rate that a time to exhaustion assumes.

ALTER TABLE alert_events ADD COLUMN IF NOT EXISTS exhaustion_burn_rate Nullable(Float64) AFTER time_to_exhaustion_s;

ALTER TABLE statuses
    ADD COLUMN IF NOT EXISTS exhaustion_burn_rate Nullable(Float64) AFTER time_to_exhaustion_s,
    ADD COLUMN IF NOT EXISTS exhaustion_window_s Nullable(Int64) AFTER exhaustion_burn_rate,
    ADD COLUMN IF NOT EXISTS sla_target Nullable(Float64) AFTER exhaustion_window_s,
    ADD COLUMN IF NOT EXISTS sla_budget_remaining_ratio Nullable(Float64) AFTER sla_target,
    ADD COLUMN IF NOT EXISTS budget_alert_ratio Nullable(Float64) AFTER sla_budget_remaining_ratio,
    ADD COLUMN IF NOT EXISTS sla_alert_ratio Nullable(Float64) AFTER budget_alert_ratio;

CREATE OR REPLACE VIEW error_budget (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of the SLO',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    target Float64 COMMENT 'a ratio in (0, 1)',
    window_start DateTime64(6, 'UTC') COMMENT 'first instant of the window',
    window_end DateTime64(6, 'UTC') COMMENT 'end of the window',
    budget_events Float64 COMMENT '(1 - target) x eligible: how many events may be bad',
    bad Int64 COMMENT 'how many were',
    budget_remaining_ratio Nullable(Float64) COMMENT 'share of the budget left, negative when overspent; null: no data',
    budget_minutes Float64 COMMENT '(1 - target) x window, in minutes',
    time_to_exhaustion_s Nullable(Float64) COMMENT 'seconds to an empty budget at exhaustion_burn_rate; null: not burning, or no data',
    exhaustion_burn_rate Nullable(Float64) COMMENT 'the burn rate that it assumes to go on; null: no data',
    exhaustion_window_s Nullable(Int64) COMMENT 'over which that was measured: the longest window of the alert rules',
    sla_target Nullable(Float64) COMMENT 'of the contract beside it; null: there is none',
    sla_budget_remaining_ratio Nullable(Float64) COMMENT 'share of its own budget left, negative when overspent; null: no SLA, or no data',
    budget_alert_ratio Nullable(Float64) COMMENT 'share of the budget whose alert is open: 0.5, 0.75, 0.9 or 1; null: none',
    sla_alert_ratio Nullable(Float64) COMMENT 'share of the budget of the SLA whose alert is open: 0.75 or 1; null: none'
) AS
SELECT
    s.slo AS slo,
    s.revision AS revision,
    s.instance AS instance,
    s.target AS target,
    s.window_start AS window_start,
    s.window_end AS window_end,
    s.budget_events AS budget_events,
    s.bad AS bad,
    if(s.good + s.bad = 0, NULL, s.budget_remaining_ratio) AS budget_remaining_ratio,
    s.budget_minutes AS budget_minutes,
    s.time_to_exhaustion_s AS time_to_exhaustion_s,
    s.exhaustion_burn_rate AS exhaustion_burn_rate,
    s.exhaustion_window_s AS exhaustion_window_s,
    s.sla_target AS sla_target,
    if(s.good + s.bad = 0, NULL, s.sla_budget_remaining_ratio) AS sla_budget_remaining_ratio,
    s.budget_alert_ratio AS budget_alert_ratio,
    s.sla_alert_ratio AS sla_alert_ratio
FROM statuses AS s FINAL
WHERE s.is_deleted = 0
COMMENT 'Error budget now: one row is an SLO instance';

CREATE OR REPLACE VIEW alerts (
    dedup_key String COMMENT 'one alert over all its events',
    sequence Int64 COMMENT 'number of the event in its alert, stable under replay',
    kind LowCardinality(String) COMMENT 'what it is about: BURN_RATE, NO_DATA, BUDGET or SLA',
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of the SLO',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    service LowCardinality(String) COMMENT 'service',
    labels Map(LowCardinality(String), String) COMMENT 'the groupBy labels',
    event LowCardinality(String) COMMENT 'FIRED, UPDATED or RESOLVED',
    severity LowCardinality(String) COMMENT 'NONE, INFO, WARNING or CRITICAL',
    metric LowCardinality(String) COMMENT 'indicator',
    target Float64 COMMENT 'a ratio in (0, 1)',
    burn_rate_factor Float64 COMMENT 'factor both windows had to reach; of a budget: the share of it that is spent',
    long_window_s Int64 COMMENT 'seconds',
    short_window_s Int64 COMMENT 'seconds',
    long_good Int64 COMMENT 'good events in the long window',
    long_bad Int64 COMMENT 'bad events in the long window',
    short_good Int64 COMMENT 'good events in the short window',
    short_bad Int64 COMMENT 'bad events in the short window',
    long_burn_rate Nullable(Float64) COMMENT 'null: no data',
    short_burn_rate Nullable(Float64) COMMENT 'null: no data',
    budget_remaining_ratio Nullable(Float64) COMMENT 'share of the budget left; null: no data',
    time_to_exhaustion_s Nullable(Float64) COMMENT 'seconds to an empty budget; null: not burning',
    exhaustion_burn_rate Nullable(Float64) COMMENT 'the burn rate that it assumes to go on',
    started_at DateTime64(6, 'UTC') COMMENT 'event time at which the alert fired',
    window_end DateTime64(6, 'UTC') COMMENT 'event time of this judgement',
    watermark DateTime64(6, 'UTC') COMMENT 'event time up to which is judged',
    evaluated_at DateTime64(6, 'UTC') COMMENT 'processing time',
    late_ratio Float64 COMMENT 'share of late events',
    provisional Bool COMMENT 'judged on partial coverage',
    exemplar_trace_ids Array(String) COMMENT 'traces of bad requests, of the newest minutes; none when resolved',
    runbook Nullable(String) COMMENT 'address',
    reason String COMMENT 'in words',
    ce_id String COMMENT 'CloudEvents id, the same under replay',
    ce_type LowCardinality(String) COMMENT 'CloudEvents type',
    ce_time Nullable(DateTime64(6, 'UTC')) COMMENT 'CloudEvents time',
    corrections Array(String) COMMENT 'corrections in force of time it was judged on, or open in; none silences it'
) AS
SELECT
    a.dedup_key AS dedup_key,
    a.sequence AS sequence,
    a.kind AS kind,
    a.slo AS slo,
    a.revision AS revision,
    a.instance AS instance,
    a.service AS service,
    a.labels AS labels,
    a.event AS event,
    a.severity AS severity,
    a.metric AS metric,
    a.target AS target,
    a.burn_rate_factor AS burn_rate_factor,
    a.long_window_s AS long_window_s,
    a.short_window_s AS short_window_s,
    a.long_good AS long_good,
    a.long_bad AS long_bad,
    a.short_good AS short_good,
    a.short_bad AS short_bad,
    a.long_burn_rate AS long_burn_rate,
    a.short_burn_rate AS short_burn_rate,
    a.budget_remaining_ratio AS budget_remaining_ratio,
    a.time_to_exhaustion_s AS time_to_exhaustion_s,
    a.exhaustion_burn_rate AS exhaustion_burn_rate,
    a.started_at AS started_at,
    a.window_end AS window_end,
    a.watermark AS watermark,
    a.evaluated_at AS evaluated_at,
    a.late_ratio AS late_ratio,
    a.provisional AS provisional,
    a.exemplar_trace_ids AS exemplar_trace_ids,
    a.runbook AS runbook,
    a.reason AS reason,
    a.ce_id AS ce_id,
    a.ce_type AS ce_type,
    a.ce_time AS ce_time,
    k.corrections AS corrections
FROM alert_events AS a FINAL
LEFT JOIN (
    SELECT slo, dedup_key, sequence, arraySort(groupUniqArray(correction)) AS corrections
    FROM alert_corrections
    GROUP BY slo, dedup_key, sequence
) AS k ON a.slo = k.slo AND a.dedup_key = k.dedup_key AND a.sequence = k.sequence
COMMENT 'Events of alerts as they went out: one row is one event';

CREATE OR REPLACE VIEW alert_log (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of the SLO',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    service LowCardinality(String) COMMENT 'service',
    dedup_key String COMMENT 'the alert',
    kind LowCardinality(String) COMMENT 'what it is about: BURN_RATE, NO_DATA, BUDGET or SLA',
    fired_at DateTime64(6, 'UTC') COMMENT 'event time at which it fired',
    resolved_at Nullable(DateTime64(6, 'UTC')) COMMENT 'event time at which it cleared; null: still firing',
    severity LowCardinality(String) COMMENT 'the highest it had',
    peak_burn_rate Nullable(Float64) COMMENT 'the highest burn rate of either window in any of its events',
    detection_delay_ms Nullable(Float64) COMMENT 'from the event time it fired at to the processing time of that judgement',
    events UInt64 COMMENT 'how many events it had',
    reason String COMMENT 'in words, of the last event',
    exemplar_trace_ids Array(String) COMMENT 'traces of bad requests, of the last event that has some',
    runbook Nullable(String) COMMENT 'address',
    corrections Array(String) COMMENT 'corrections in force of time it was judged on, or open in; none silences it'
) AS
SELECT
    a.slo AS slo,
    argMax(a.revision, a.sequence) AS revision,
    any(a.instance) AS instance,
    any(a.service) AS service,
    a.dedup_key AS dedup_key,
    any(a.kind) AS kind,
    a.started_at AS fired_at,
    maxIf(toNullable(a.window_end), a.event = 'RESOLVED') AS resolved_at,
    argMax(a.severity, transform(a.severity, ['NONE', 'INFO', 'WARNING', 'CRITICAL'], [0, 1, 2, 3], -1)) AS severity,
    nullIf(max(greatest(ifNull(a.long_burn_rate, -1), ifNull(a.short_burn_rate, -1))), -1) AS peak_burn_rate,
    minIf(toNullable(dateDiff('microsecond', a.window_end, a.evaluated_at)), a.event = 'FIRED') / 1000 AS detection_delay_ms,
    count() AS events,
    argMax(a.reason, a.sequence) AS reason,
    argMaxIf(a.exemplar_trace_ids, a.sequence, notEmpty(a.exemplar_trace_ids)) AS exemplar_trace_ids,
    argMax(a.runbook, a.sequence) AS runbook,
    any(k.corrections) AS corrections
FROM alert_events AS a FINAL
LEFT JOIN (
    SELECT slo, dedup_key, started_at, arraySort(groupUniqArray(correction)) AS corrections
    FROM alert_corrections
    GROUP BY slo, dedup_key, started_at
) AS k ON a.slo = k.slo AND a.dedup_key = k.dedup_key AND a.started_at = k.started_at
GROUP BY a.slo, a.dedup_key, a.started_at
COMMENT 'Alerts from fired to resolved: one row is one alert';
