-- How long replicas took to be ready, by model, variant and accelerator, whatever the service. By engines: from the first
-- look at a replica that was not ready, or from when it says that it began, to the first at which it was. By events: what
-- requests waited that met a replica warming up, which is the less, since the replica had begun before.
SELECT 'engines' AS source, model, variant, accelerator, toFloat64(count()) AS starts, quantileExact(0.95)(took_s) AS p95_s
FROM (
    SELECT model, variant, anyLast(accelerator) AS accelerator,
           minIf(snapshot_at, ready) AS ready_at,
           least(min(if(ready, NULL, snapshot_at)), ifNull(minIf(started_at, ready), ready_at)) AS began_at,
           dateDiff('microsecond', began_at, ready_at) / 1e6 AS took_s
    FROM (
        -- looks at what is not ready, and the first at which it is, have the same number
        SELECT toString(s.model) AS model, ifNull(toString(s.variant), '') AS variant, service, endpoint_id, snapshot_at, ready,
               ifNull(toString(s.accelerator), '') AS accelerator, started_at,
               sum(toUInt64(ready)) OVER (PARTITION BY service, s.model, endpoint_id ORDER BY snapshot_at) - toUInt64(ready) AS start
        FROM snapshots AS s
        WHERE s.engine != 'llm-d-epp' AND snapshot_at > now64(6, 'UTC') - toIntervalSecond(toUInt32({cold_starts_s:Float64}))
    )
    GROUP BY model, variant, service, endpoint_id, start
    -- one that was ready before has begun anew only if it says so: else a look has failed
    HAVING countIf(ready) = 1 AND countIf(NOT ready) > 0 AND took_s > 0
        AND (start = 0 OR ifNull(minIf(started_at, ready) > min(snapshot_at) - toIntervalSecond(30), false))
)
GROUP BY model, variant, accelerator
UNION ALL
SELECT 'events', toString(request_model) AS model, ifNull(toString(variant), '') AS variant,
       ifNull(toString(accelerator), '') AS accelerator, sum(weight) AS starts,
       quantileExactWeighted(0.95)(waited_us, toUInt64(round(weight * 1000))) / 1e6 AS p95_s
FROM (
    SELECT request_model, variant, accelerator, sample_weight / if(sample_ratio > 0, sample_ratio, 1.) AS weight,
           toUInt64(greatest(ifNull(ttft_us, 0), ifNull(queue_us, 0))) AS waited_us
    FROM events
    WHERE cold_start AND counted_at > now64(6, 'UTC') - toIntervalSecond(toUInt32({cold_starts_s:Float64})) AND waited_us > 0
)
GROUP BY model, variant, accelerator
