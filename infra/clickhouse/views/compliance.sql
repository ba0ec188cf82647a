-- Compliance as it was judged last.

CREATE OR REPLACE VIEW compliance (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of the SLO',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    service LowCardinality(String) COMMENT 'service',
    labels Map(LowCardinality(String), String) COMMENT 'the groupBy labels',
    target Float64 COMMENT 'a ratio in (0, 1)',
    window_start DateTime64(6, 'UTC') COMMENT 'first instant of the window',
    window_end DateTime64(6, 'UTC') COMMENT 'end of the window: the watermark it was judged at',
    counts LowCardinality(String) COMMENT 'what good and bad count: REQUESTS, SLICES of time, or of a MEAN the requests of all its members; empty: judged before that was told',
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
    multiIf(
        s.counts_revision IS NOT NULL, 'REQUESTS', s.slice_us IS NOT NULL, 'SLICES', notEmpty(s.parts), 'MEAN', ''
    ) AS counts,
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
