-- How long replicas took to be ready: what scaling has as its lead time, and whoever asks why a surge hurt.
-- A start is known in two ways. A replica that was never seen before: from the first look, or from when it says that it
-- began, to the first look at which it is ready. One that began anew: by its own word, if looks failed meanwhile. A look
-- that fails is no start, one that nobody looked at while it began is not known, and what was away for an hour was away.
-- Without FINAL: a look that is stored twice changes no least and no greatest.

CREATE OR REPLACE VIEW cold_starts (
    service LowCardinality(String) COMMENT 'service',
    model LowCardinality(String) COMMENT 'request_model that it serves; empty: not told',
    variant String COMMENT 'hardware and configuration variant; empty: not told',
    accelerator String COMMENT 'accelerator type; empty: not told',
    endpoint_id LowCardinality(String) COMMENT 'replica, as events name it',
    began_at DateTime64(6, 'UTC') COMMENT 'when it began: when it was first seen, or by its own word',
    ready_at DateTime64(6, 'UTC') COMMENT 'the first look at which it was ready',
    took_s Float64 COMMENT 'seconds from one to the other'
) AS
SELECT
    r.service AS service,
    r.model AS model,
    r.variant AS variant,
    r.accelerator AS accelerator,
    r.endpoint_id AS endpoint_id,
    r.began AS began_at,
    r.ready AS ready_at,
    dateDiff('microsecond', began_at, ready_at) / 1e6 AS took_s
FROM (
    SELECT
        s.service AS service, s.model AS model, s.endpoint_id AS endpoint_id,
        any(ifNull(toString(s.variant), '')) AS variant, any(ifNull(toString(s.accelerator), '')) AS accelerator,
        s.started_at AS started_at,
        minIf(s.snapshot_at, s.ready) AS ready,
        countIf(s.ready) AS looks,
        min(min(s.snapshot_at)) OVER (PARTITION BY s.service, s.model, s.endpoint_id) AS seen,
        min(if(looks > 0, ready, NULL)) OVER (PARTITION BY s.service, s.model, s.endpoint_id) AS ready_first,
        max(maxIf(s.snapshot_at, NOT s.ready)) OVER (PARTITION BY s.service, s.model, s.endpoint_id) AS failed_last,
        multiIf(
            ready = ready_first AND seen < ready, least(seen, ifNull(started_at, seen)),
            ready != ready_first AND failed_last >= started_at - toIntervalMinute(1), started_at,
            NULL
        ) AS began
    FROM snapshot_records AS s
    WHERE s.engine != 'llm-d-epp' AND s.snapshot_at > now64(6, 'UTC') - toIntervalDay(1)
    GROUP BY s.service, s.model, s.endpoint_id, s.started_at
) AS r
WHERE r.looks > 0 AND r.began IS NOT NULL AND r.began < r.ready AND r.began > r.ready - toIntervalHour(1)
COMMENT 'Cold starts of the last day: one row is one start of a replica'
