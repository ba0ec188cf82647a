-- Compliance and budget with and without corrections, side by side, as workers counted them last out of stored counts, by
-- infra/clickhouse/refreshed/corrected_windows.sql: each minute, or as often as a twentieth of a core allows, and at once
-- when a correction changes. `window_end` and `refreshed_at` say how old an answer is.

CREATE OR REPLACE VIEW compliance_corrected (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of the SLO',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    service LowCardinality(String) COMMENT 'service',
    labels Map(LowCardinality(String), String) COMMENT 'the groupBy labels',
    target Float64 COMMENT 'a ratio in (0, 1)',
    counts LowCardinality(String) COMMENT 'what good and bad count: REQUESTS, SLICES of time, or of a MEAN the requests of all its members',
    window_start DateTime64(6, 'UTC') COMMENT 'first instant of the window',
    window_end DateTime64(6, 'UTC') COMMENT 'end of the window: of requests, the last whole minute that was judged',
    good Int64 COMMENT 'in target, in time that counts',
    bad Int64 COMMENT 'out of target, in time that counts',
    excluded Int64 COMMENT 'do not count, in time that counts; of slices: had no verdict, in all of the window',
    eligible Int64 COMMENT 'good + bad',
    compliance_ratio Nullable(Float64) COMMENT 'good / eligible, of a mean the weighted one, in time that counts; null: nothing was eligible',
    uncorrected_good Int64 COMMENT 'good in all of the window',
    uncorrected_bad Int64 COMMENT 'bad in all of the window',
    uncorrected_excluded Int64 COMMENT 'excluded in all of the window',
    uncorrected_eligible Int64 COMMENT 'uncorrected_good + uncorrected_bad',
    uncorrected_compliance_ratio Nullable(Float64) COMMENT 'compliance in all of the window; null: nothing was eligible',
    corrected_minutes Int64 COMMENT 'how much of the window corrections leave out',
    corrections Array(String) COMMENT 'corrections in force that leave out some of it',
    refreshed_at DateTime64(6, 'UTC') COMMENT 'when this was counted'
) AS
SELECT
    c.slo AS slo,
    c.revision AS revision,
    c.instance AS instance,
    c.service AS service,
    c.labels AS labels,
    c.target AS target,
    c.counts AS counts,
    c.window_start AS window_start,
    c.window_end AS window_end,
    c.good AS good,
    c.bad AS bad,
    c.excluded AS excluded,
    c.good + c.bad AS eligible,
    c.compliance_ratio AS compliance_ratio,
    c.uncorrected_good AS uncorrected_good,
    c.uncorrected_bad AS uncorrected_bad,
    c.uncorrected_excluded AS uncorrected_excluded,
    c.uncorrected_good + c.uncorrected_bad AS uncorrected_eligible,
    c.uncorrected_compliance_ratio AS uncorrected_compliance_ratio,
    c.corrected_minutes AS corrected_minutes,
    c.corrections AS corrections,
    c.refreshed_at AS refreshed_at
FROM corrected_windows AS c FINAL
COMMENT 'Compliance with and without corrections: one row is an SLO instance, over its window';

CREATE OR REPLACE VIEW error_budget_corrected (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of the SLO',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    target Float64 COMMENT 'a ratio in (0, 1)',
    counts LowCardinality(String) COMMENT 'what is counted: REQUESTS, SLICES of time, or of a MEAN the requests of all its members',
    window_start DateTime64(6, 'UTC') COMMENT 'first instant of the window',
    window_end DateTime64(6, 'UTC') COMMENT 'end of the window: of requests, the last whole minute that was judged',
    compliance_ratio Nullable(Float64) COMMENT 'as compliance_corrected says it',
    budget_events Float64 COMMENT '(1 - target) x eligible, in time that counts',
    bad Int64 COMMENT 'how many were, in time that counts',
    budget_remaining_ratio Nullable(Float64) COMMENT 'share of the budget left, in time that counts; null: no data',
    budget_minutes Float64 COMMENT '(1 - target) x the time of the window that counts, in minutes',
    uncorrected_budget_events Float64 COMMENT 'the same in all of the window',
    uncorrected_bad Int64 COMMENT 'the same in all of the window',
    uncorrected_budget_remaining_ratio Nullable(Float64) COMMENT 'the same in all of the window; null: no data',
    corrected_minutes Int64 COMMENT 'how much of the window corrections leave out',
    corrections Array(String) COMMENT 'corrections in force that leave out some of it',
    refreshed_at DateTime64(6, 'UTC') COMMENT 'when this was counted'
) AS
WITH 10000000 - toInt64(round(c.target * 10000000)) AS allowed  -- of ten millions: a target has at most 7 decimals
SELECT
    c.slo AS slo,
    c.revision AS revision,
    c.instance AS instance,
    c.target AS target,
    c.counts AS counts,
    c.window_start AS window_start,
    c.window_end AS window_end,
    c.compliance_ratio AS compliance_ratio,
    allowed * c.eligible / 10000000 AS budget_events,
    c.bad AS bad,
    multiIf(
        c.eligible = 0, NULL,
        c.counts = 'MEAN', 1 - (1 - c.compliance_ratio) * 10000000 / allowed,
        (allowed * c.eligible - c.bad * 10000000) / (allowed * c.eligible)
    ) AS budget_remaining_ratio,
    allowed * (dateDiff('minute', c.window_start, c.window_end) - c.corrected_minutes) / 10000000 AS budget_minutes,
    allowed * c.uncorrected_eligible / 10000000 AS uncorrected_budget_events,
    c.uncorrected_bad AS uncorrected_bad,
    multiIf(
        c.uncorrected_eligible = 0, NULL,
        c.counts = 'MEAN', 1 - (1 - c.uncorrected_compliance_ratio) * 10000000 / allowed,
        (allowed * c.uncorrected_eligible - c.uncorrected_bad * 10000000) / (allowed * c.uncorrected_eligible)
    ) AS uncorrected_budget_remaining_ratio,
    c.corrected_minutes AS corrected_minutes,
    c.corrections AS corrections,
    c.refreshed_at AS refreshed_at
FROM compliance_corrected AS c
COMMENT 'Error budget with and without corrections: one row is an SLO instance';
