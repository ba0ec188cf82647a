-- How the replicas of each model and variant are, and how many more requests they held than at first by 10 s, the newest first,
-- each at the end of its 10 s; null: nobody looked. A replica is counted by its last look, if that is not older than 30 s, and
-- what it holds from one 10 s to the next by its last answers in both: one that does not answer for a while has lost nothing,
-- and what it held comes from nowhere when it answers again. A pool that is seen from in front is none.
WITH
    toStartOfInterval(ifNull((SELECT known_at FROM known_until), now64(6, 'UTC')), toIntervalSecond(10), 'UTC') AS until,
    toUInt32(greatest({calm_s:Float64}, 300.) / 10) AS cells
SELECT
    service, model, variant,
    sumIf(last.1, is_last) AS ready, countIf(is_last) AS replicas,
    if(countIf(is_last AND last.2 IS NOT NULL) = 0, NULL, sumIf(ifNull(last.2, 0), is_last)) AS waiting,
    groupArrayIf(tuple(cell, grown), held IS NOT NULL) AS more,
    arrayMap(
        each -> if(arrayExists(m -> m.1 = each, more), toNullable(arraySum(m -> if(m.1 >= each, m.2, 0.), more)), NULL),
        range(cells + 1)
    ) AS in_flight
FROM (
    SELECT
        *,
        cell = min(cell) OVER (PARTITION BY service, model, variant, endpoint_id) AND cell < 3 AS is_last,
        if(lagInFrame(cell) OVER replica = cell + 1, ifNull(toFloat64(held) - lagInFrame(held) OVER replica, 0.), 0.) AS grown
    FROM (
        SELECT service, toString(s.model) AS model, ifNull(toString(s.variant), '') AS variant, endpoint_id,
               toUInt32(intDiv(dateDiff('microsecond', snapshot_at, until), 10000000)) AS cell,
               argMax(tuple(toUInt64(ready), waiting), snapshot_at) AS last,
               argMax(running + ifNull(waiting, 0), snapshot_at) AS held
        FROM snapshots AS s
        WHERE s.engine != 'llm-d-epp' AND snapshot_at > until - toIntervalSecond((cells + 1) * 10) AND snapshot_at <= until
        GROUP BY service, model, variant, endpoint_id, cell
    )
    WINDOW replica AS (PARTITION BY service, model, variant, endpoint_id ORDER BY cell DESC)
)
GROUP BY service, model, variant
ORDER BY service, model, variant
LIMIT 100000
