-- How long replicas took to be ready, by model, variant and accelerator, whatever the service. By engines: as they were
-- seen to. By events: what requests waited that met a replica warming up, which is the less: it had begun before.
SELECT 'engines' AS source, toString(model) AS model, variant, accelerator, toFloat64(count()) AS starts,
       quantileExact(0.95)(took_s) AS p95_s
FROM cold_starts
GROUP BY model, variant, accelerator
UNION ALL
SELECT 'events', toString(request_model) AS model, ifNull(toString(variant), '') AS variant,
       ifNull(toString(accelerator), '') AS accelerator, sum(weight) AS starts,
       quantileExactWeighted(0.95)(waited_us, toUInt64(round(weight * 1000))) / 1e6 AS p95_s
FROM (
    SELECT request_model, variant, accelerator, sample_weight / if(sample_ratio > 0, sample_ratio, 1.) AS weight,
           toUInt64(greatest(ifNull(ttft_us, 0), ifNull(queue_us, 0))) AS waited_us
    FROM events
    WHERE cold_start AND counted_at > now64(6, 'UTC') - toIntervalDay(1) AND waited_us > 0
)
GROUP BY model, variant, accelerator
