-- Replicas of engines now, and requests that hang in them. What hangs sends no event, so it is seen in snapshots alone:
-- nothing was finished since some look at which a request was running, so that one is as old as that at least; and no token
-- came since. Looks back for an hour: what is older is an hour old at least. Grouped by service too, so that a question about
-- one service reads what is its own.

CREATE OR REPLACE VIEW endpoints (
    endpoint_id LowCardinality(String) COMMENT 'replica, as events name it',
    service LowCardinality(String) COMMENT 'service',
    model LowCardinality(String) COMMENT 'request_model that it serves; empty: not told',
    engine LowCardinality(String) COMMENT 'vllm, sglang, tgi, triton, tensorrt-llm, llm-d-epp; empty: not told',
    region Nullable(String) COMMENT 'where it runs; null: not told',
    variant Nullable(String) COMMENT 'hardware and configuration variant; null: not told',
    accelerator Nullable(String) COMMENT 'accelerator type; null: not told',
    ready Bool COMMENT 'whether it answered the last look, and takes requests',
    error String COMMENT 'why it could not be looked at; empty: it could',
    running Nullable(Int64) COMMENT 'requests at work when it answered last; null: it does not say',
    waiting Nullable(Int64) COMMENT 'requests in its queue then; null: it does not say',
    kv_usage Nullable(Float64) COMMENT 'share of its cache of keys and values in use then; null: it does not say',
    oldest_inflight_s Nullable(Float64) COMMENT 'age of its oldest request, at least: as it says, or as long as nothing was finished with one running; null: none runs, or it does not say',
    stalled_s Nullable(Float64) COMMENT 'seconds in which requests ran, and none was finished and no token came; null: none runs, or it does not say',
    gpu_count Nullable(Int64) COMMENT 'accelerators that it uses; null: not told',
    gpu_hour_picousd Nullable(Int64) COMMENT 'price of an hour of one of them, in pico-USD; null: not told',
    started_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when it began to run; null: it does not say',
    answered_at Nullable(DateTime64(6, 'UTC')) COMMENT 'last look that it answered; null: none of the last hour',
    snapshot_at DateTime64(6, 'UTC') COMMENT 'last look',
    age_s Float64 COMMENT 'seconds since then'
) AS
SELECT
    e.endpoint_id AS endpoint_id,
    e.service AS service,
    e.last.1 AS model,
    e.last.2 AS engine,
    e.last.3 AS region,
    e.last.4 AS variant,
    e.last.5 AS accelerator,
    e.last.6 AS ready,
    e.last.7 AS error,
    if(e.answers > 0, e.answer.1, NULL) AS running,
    if(e.answers > 0, e.answer.2, NULL) AS waiting,
    if(e.answers > 0, e.answer.3, NULL) AS kv_usage,
    if(ifNull(e.answer.1, 0) > 0, greatest(
        ifNull(e.answer.4, 0) / 1000,
        if(countIf(s.finished = e.answer.6 AND s.running > 0 AND s.snapshot_at > e.idle_at) = 0, 0., dateDiff(
            'microsecond', minIf(s.snapshot_at, s.finished = e.answer.6 AND s.running > 0 AND s.snapshot_at > e.idle_at), e.answered_at
        ) / 1e6)
    ), NULL) AS oldest_inflight_s,
    if(ifNull(e.answer.1, 0) > 0 AND e.answer.7 IS NOT NULL AND e.answer.6 IS NOT NULL, dateDiff(
        'microsecond',
        minIf(s.snapshot_at, s.finished = e.answer.6 AND s.output_tokens = e.answer.7 AND s.running > 0 AND s.snapshot_at > e.idle_at),
        e.answered_at
    ) / 1e6, NULL) AS stalled_s,
    e.last.8 AS gpu_count,
    e.last.9 AS gpu_hour_picousd,
    if(e.answers > 0, e.answer.5, NULL) AS started_at,
    if(e.answers > 0, e.answered_at, NULL) AS answered_at,
    e.snapshot_at AS snapshot_at,
    greatest(dateDiff('microsecond', e.snapshot_at, now64(6, 'UTC')) / 1e6, 0.) AS age_s
FROM snapshot_records AS s FINAL
INNER JOIN (
    SELECT
        n.endpoint_id AS endpoint_id,
        n.service AS service,
        max(n.snapshot_at) AS snapshot_at,
        argMax(tuple(
            n.model, n.engine, CAST(n.region, 'Nullable(String)'), CAST(n.variant, 'Nullable(String)'),
            CAST(n.accelerator, 'Nullable(String)'), n.ready, toString(n.error), n.gpu_count, n.gpu_hour_picousd
        ), n.snapshot_at) AS last,
        countIf(n.error = '') AS answers,
        maxIf(n.snapshot_at, n.error = '') AS answered_at,
        argMaxIf(tuple(
            n.running, n.waiting, n.kv_usage, n.oldest_inflight_ms, n.started_at, n.finished, n.output_tokens
        ), n.snapshot_at, n.error = '') AS answer,
        maxIf(n.snapshot_at, n.error = '' AND ifNull(n.running, 0) = 0) AS idle_at
    FROM snapshot_records AS n FINAL
    WHERE n.snapshot_at > now64(6, 'UTC') - toIntervalHour(1)
    GROUP BY n.endpoint_id, n.service
) AS e ON s.endpoint_id = e.endpoint_id AND s.service = e.service
WHERE s.snapshot_at > now64(6, 'UTC') - toIntervalHour(1)
    AND (s.started_at = e.answer.5 OR (s.started_at IS NULL AND e.answer.5 IS NULL) OR s.snapshot_at = e.snapshot_at)
GROUP BY e.endpoint_id, e.service, e.last, e.answers, e.answer, e.idle_at, e.answered_at, e.snapshot_at
COMMENT 'Replicas of engines as they are now: one row is one that was looked at within the last hour, of a service';
