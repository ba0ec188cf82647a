-- How the replicas of each model and variant are, and how many requests they held by 10 s, the newest first, each at the end
-- of its 10 s; null: nobody looked. A replica is counted by its last look, if that is not older than 30 s; a pool that is seen
-- from in front is none.
WITH
    toStartOfInterval(ifNull((SELECT known_at FROM known_until), now64(6, 'UTC')), toIntervalSecond(10), 'UTC') AS until,
    toUInt32(greatest({calm_s:Float64}, 300.) / 10) AS cells
SELECT
    service, model, variant,
    sumIf(last.1, is_last) AS ready, countIf(is_last) AS replicas,
    if(countIf(is_last AND last.2 IS NOT NULL) = 0, NULL, sumIf(ifNull(last.2, 0), is_last)) AS waiting,
    sumMap(map(cell, toFloat64(ifNull(last.3, 0)))) AS held,
    arrayMap(each -> if(mapContains(held, each), toNullable(held[each]), NULL), range(cells + 1)) AS in_flight
FROM (
    SELECT *, cell = min(cell) OVER (PARTITION BY service, model, variant, endpoint_id) AND cell < 3 AS is_last
    FROM (
        SELECT service, toString(s.model) AS model, ifNull(toString(s.variant), '') AS variant, endpoint_id,
               toUInt32(intDiv(dateDiff('microsecond', snapshot_at, until), 10000000)) AS cell,
               argMax(tuple(toUInt64(ready), waiting, running + ifNull(waiting, 0)), snapshot_at) AS last
        FROM snapshots AS s
        WHERE s.engine != 'llm-d-epp' AND snapshot_at > until - toIntervalSecond((cells + 1) * 10) AND snapshot_at <= until
        GROUP BY service, model, variant, endpoint_id, cell
    )
)
GROUP BY service, model, variant
ORDER BY service, model, variant
LIMIT 100000
