-- What people read: judgements, alerts, dead letters, and how the pipeline is. No data is null, never 0 or NaN.

CREATE VIEW IF NOT EXISTS compliance (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of the SLO',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    service LowCardinality(String) COMMENT 'service',
    labels Map(LowCardinality(String), String) COMMENT 'the groupBy labels',
    target Float64 COMMENT 'a ratio in (0, 1)',
    window_start DateTime64(6, 'UTC') COMMENT 'first instant of the window',
    window_end DateTime64(6, 'UTC') COMMENT 'end of the window: the watermark it was judged at',
    good Int64 COMMENT 'events, or slices, in target',
    bad Int64 COMMENT 'out of target',
    excluded Int64 COMMENT 'do not count',
    eligible Int64 COMMENT 'good + bad',
    compliance_ratio Nullable(Float64) COMMENT 'good / eligible; null: nothing was eligible',
    coverage_ratio Float64 COMMENT 'measured slices / expected slices',
    state LowCardinality(String) COMMENT 'of the alert: OK, PENDING, FIRING, RECOVERING, FROZEN',
    severity LowCardinality(String) COMMENT 'of the alert',
    judged_at DateTime64(6, 'UTC') COMMENT 'processing time of the judgement'
) AS
SELECT
    s.slo AS slo,
    s.revision AS revision,
    s.instance AS instance,
    s.service AS service,
    s.labels AS labels,
    s.target AS target,
    s.window_start AS window_start,
    s.window_end AS window_end,
    s.good AS good,
    s.bad AS bad,
    s.excluded AS excluded,
    s.good + s.bad AS eligible,
    if(s.good + s.bad = 0, NULL, s.compliance_ratio) AS compliance_ratio,
    s.coverage_ratio AS coverage_ratio,
    s.state AS state,
    s.severity AS severity,
    s.judged_at AS judged_at
FROM statuses AS s FINAL
WHERE s.is_deleted = 0
COMMENT 'Compliance now: one row is an SLO instance, over its window';

CREATE VIEW IF NOT EXISTS error_budget (
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
    time_to_exhaustion_s Nullable(Float64) COMMENT 'seconds to an empty budget at the present burn rate; null: not burning, or no data'
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
    s.time_to_exhaustion_s AS time_to_exhaustion_s
FROM statuses AS s FINAL
WHERE s.is_deleted = 0
COMMENT 'Error budget now: one row is an SLO instance';

CREATE VIEW IF NOT EXISTS burn_rate (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of the SLO',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    target Float64 COMMENT 'a ratio in (0, 1)',
    window_s Int64 COMMENT 'length of the window in seconds',
    window_end DateTime64(6, 'UTC') COMMENT 'end of the window',
    good Int64 COMMENT 'events in target',
    bad Int64 COMMENT 'events out of target',
    eligible Int64 COMMENT 'good + bad',
    coverage_ratio Float64 COMMENT 'measured slices / expected slices',
    burn_rate Nullable(Float64) COMMENT '(bad / eligible) / (1 - target): 1 spends the budget exactly in the period; null: no data'
) AS
SELECT
    s.slo AS slo,
    s.revision AS revision,
    s.instance AS instance,
    s.target AS target,
    w.1 AS window_s,
    s.window_end AS window_end,
    w.2 AS good,
    w.3 AS bad,
    w.2 + w.3 AS eligible,
    w.4 AS coverage_ratio,
    if(w.2 + w.3 = 0, NULL, w.5) AS burn_rate
FROM statuses AS s FINAL
ARRAY JOIN arrayZip(s.windows_s, s.windows_good, s.windows_bad, s.windows_coverage_ratio, s.windows_burn_rate) AS w
WHERE s.is_deleted = 0
COMMENT 'Burn rate now: one row is an SLO instance and a window of its alert rules';

CREATE VIEW IF NOT EXISTS late_events (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of the SLO',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    late Int64 COMMENT 'events that came behind the watermark, since the instance exists',
    watermark DateTime64(6, 'UTC') COMMENT 'event time up to which is judged'
) AS
SELECT
    s.slo AS slo,
    s.revision AS revision,
    s.instance AS instance,
    s.late AS late,
    s.watermark AS watermark
FROM statuses AS s FINAL
WHERE s.is_deleted = 0
COMMENT 'Late events: one row is an SLO instance. They amend counts and budgets and never fire an alert';

CREATE VIEW IF NOT EXISTS alerts (
    dedup_key String COMMENT 'one alert over all its events',
    sequence Int64 COMMENT 'number of the event in its alert, stable under replay',
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of the SLO',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    service LowCardinality(String) COMMENT 'service',
    labels Map(LowCardinality(String), String) COMMENT 'the groupBy labels',
    event LowCardinality(String) COMMENT 'FIRED, UPDATED or RESOLVED',
    severity LowCardinality(String) COMMENT 'NONE, INFO, WARNING or CRITICAL',
    metric LowCardinality(String) COMMENT 'indicator',
    target Float64 COMMENT 'a ratio in (0, 1)',
    burn_rate_factor Float64 COMMENT 'factor both windows had to reach',
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
    started_at DateTime64(6, 'UTC') COMMENT 'event time at which the alert fired',
    window_end DateTime64(6, 'UTC') COMMENT 'event time of this judgement',
    watermark DateTime64(6, 'UTC') COMMENT 'event time up to which is judged',
    evaluated_at DateTime64(6, 'UTC') COMMENT 'processing time',
    late_ratio Float64 COMMENT 'share of late events',
    provisional Bool COMMENT 'judged on partial coverage',
    exemplar_trace_ids Array(String) COMMENT 'traces of bad requests',
    runbook Nullable(String) COMMENT 'address',
    reason String COMMENT 'in words',
    ce_id String COMMENT 'CloudEvents id, the same under replay',
    ce_type LowCardinality(String) COMMENT 'CloudEvents type',
    ce_time Nullable(DateTime64(6, 'UTC')) COMMENT 'CloudEvents time'
) AS
SELECT
    a.dedup_key AS dedup_key,
    a.sequence AS sequence,
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
    a.ce_time AS ce_time
FROM alert_events AS a FINAL
COMMENT 'Events of alerts as they went out: one row is one event';

CREATE VIEW IF NOT EXISTS alert_log (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of the SLO',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    service LowCardinality(String) COMMENT 'service',
    dedup_key String COMMENT 'the alert',
    fired_at DateTime64(6, 'UTC') COMMENT 'event time at which it fired',
    resolved_at Nullable(DateTime64(6, 'UTC')) COMMENT 'event time at which it cleared; null: still firing',
    severity LowCardinality(String) COMMENT 'the highest it had',
    peak_burn_rate Nullable(Float64) COMMENT 'the highest burn rate of either window in any of its events',
    detection_delay_ms Nullable(Float64) COMMENT 'from the event time it fired at to the processing time of that judgement',
    events UInt64 COMMENT 'how many events it had',
    reason String COMMENT 'in words, of the last event',
    runbook Nullable(String) COMMENT 'address'
) AS
SELECT
    a.slo AS slo,
    argMax(a.revision, a.sequence) AS revision,
    any(a.instance) AS instance,
    any(a.service) AS service,
    a.dedup_key AS dedup_key,
    a.started_at AS fired_at,
    maxIf(toNullable(a.window_end), a.event = 'RESOLVED') AS resolved_at,
    argMax(a.severity, transform(a.severity, ['NONE', 'INFO', 'WARNING', 'CRITICAL'], [0, 1, 2, 3], -1)) AS severity,
    nullIf(max(greatest(ifNull(a.long_burn_rate, -1), ifNull(a.short_burn_rate, -1))), -1) AS peak_burn_rate,
    minIf(toNullable(dateDiff('microsecond', a.window_end, a.evaluated_at)), a.event = 'FIRED') / 1000 AS detection_delay_ms,
    count() AS events,
    argMax(a.reason, a.sequence) AS reason,
    argMax(a.runbook, a.sequence) AS runbook
FROM alert_events AS a FINAL
GROUP BY a.slo, a.dedup_key, a.started_at
COMMENT 'Alerts from fired to resolved: one row is one alert';

CREATE VIEW IF NOT EXISTS dead_letters (
    dead_at DateTime64(6, 'UTC') COMMENT 'when it was put aside',
    reason LowCardinality(String) COMMENT 'why, as a short name',
    detail String COMMENT 'why, in words',
    topic LowCardinality(String) COMMENT 'where it came from',
    partition Int32 COMMENT 'where it came from',
    offset Int64 COMMENT 'where it came from',
    schema_id LowCardinality(String) COMMENT 'writer schema it named',
    key String COMMENT 'original key',
    value String COMMENT 'original bytes',
    dlq_topic LowCardinality(String) COMMENT 'where it lies now',
    dlq_partition Int32 COMMENT 'where it lies now',
    dlq_offset Int64 COMMENT 'where it lies now'
) AS
SELECT
    d.dead_at AS dead_at,
    d.reason AS reason,
    d.detail AS detail,
    d.topic AS topic,
    d.partition AS partition,
    d.offset AS offset,
    d.schema_id AS schema_id,
    d.key AS key,
    d.value AS value,
    d.dlq_topic AS dlq_topic,
    d.dlq_partition AS dlq_partition,
    d.dlq_offset AS dlq_offset
FROM dead_letter_records AS d FINAL
COMMENT 'Records nobody could use: one row is one record';

CREATE VIEW IF NOT EXISTS pipeline_health (
    stage LowCardinality(String) COMMENT 'ingest: a source partition; judge: all of it; store: a partition the store reads',
    topic LowCardinality(String) COMMENT 'topic',
    partition Int32 COMMENT 'partition; -1: all',
    next_offset Nullable(Int64) COMMENT 'everything in front of it is stored',
    event_time_max Nullable(DateTime64(6, 'UTC')) COMMENT 'ingest: greatest event time seen; judge: the watermark',
    watermark_lag_s Nullable(Float64) COMMENT 'seconds from that to now',
    flushed_at Nullable(DateTime64(6, 'UTC')) COMMENT 'processing time of the newest stored unit',
    stored_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when it was stored',
    idle_us Nullable(Int64) COMMENT 'how long the source was read to its end and silent',
    records Int64 COMMENT 'records read',
    events Int64 COMMENT 'events counted',
    bytes Int64 COMMENT 'bytes read',
    dead_letters Int64 COMMENT 'records put aside',
    clamped Int64 COMMENT 'events from the future, taken as now',
    late Int64 COMMENT 'events behind the watermark',
    series_overflow Int64 COMMENT 'events counted as series `other`',
    instances_refused Int64 COMMENT 'series of which an SLO instance was past the limit and became `other`'
) AS
SELECT
    'ingest' AS stage,
    m.source_topic AS topic,
    m.source_partition AS partition,
    toNullable(max(m.source_next_offset)) AS next_offset,
    max(m.event_time_max) AS event_time_max,
    dateDiff('microsecond', max(m.event_time_max), now64(6, 'UTC')) / 1e6 AS watermark_lag_s,
    toNullable(max(m.flushed_at)) AS flushed_at,
    toNullable(max(m.stored_at)) AS stored_at,
    toNullable(argMax(m.idle_us, m.flushed_at)) AS idle_us,
    sum(m.counters['records']) AS records,
    sum(m.counters['events']) AS events,
    sum(m.counters['bytes']) AS bytes,
    sum(m.counters['dead_letters']) AS dead_letters,
    sum(m.counters['clamped']) AS clamped,
    toInt64(0) AS late,
    sum(m.counters['series_overflow']) AS series_overflow,
    sum(m.counters['instances_refused']) AS instances_refused
FROM marks AS m FINAL
WHERE m.source_topic != ''
GROUP BY m.source_topic, m.source_partition
UNION ALL
SELECT
    'judge' AS stage,
    '' AS topic,
    -1 AS partition,
    NULL AS next_offset,
    maxOrNull(s.watermark) AS event_time_max,
    dateDiff('microsecond', maxOrNull(s.watermark), now64(6, 'UTC')) / 1e6 AS watermark_lag_s,
    maxOrNull(s.judged_at) AS flushed_at,
    NULL AS stored_at,
    NULL AS idle_us,
    toInt64(0) AS records,
    toInt64(0) AS events,
    toInt64(0) AS bytes,
    toInt64(0) AS dead_letters,
    toInt64(0) AS clamped,
    sum(s.late) AS late,
    toInt64(0) AS series_overflow,
    toInt64(0) AS instances_refused
FROM statuses AS s FINAL
WHERE s.is_deleted = 0
UNION ALL
SELECT
    'store' AS stage,
    m.topic AS topic,
    m.partition AS partition,
    toNullable(max(m.last_offset) + 1) AS next_offset,
    NULL AS event_time_max,
    NULL AS watermark_lag_s,
    toNullable(max(m.flushed_at)) AS flushed_at,
    toNullable(max(m.stored_at)) AS stored_at,
    NULL AS idle_us,
    sum(if(m.source_topic = '', m.counters['records'], 0)) AS records,
    toInt64(0) AS events,
    toInt64(0) AS bytes,
    toInt64(0) AS dead_letters,
    toInt64(0) AS clamped,
    toInt64(0) AS late,
    toInt64(0) AS series_overflow,
    toInt64(0) AS instances_refused
FROM marks AS m FINAL
GROUP BY m.topic, m.partition
COMMENT 'How the pipeline is: one row is a stage and a partition';
