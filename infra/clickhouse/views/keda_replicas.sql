-- What the control of scaling asks for, as KEDA's ClickHouse trigger wants it, always in one row:
--
--     SELECT value FROM keda_desired_replicas(service='chat', model='llama-70b')
--
-- With `targetQueryValue: "1"` it is the number of replicas itself. The control never asks for fewer on stale data. When it
-- is itself away, so that what it said has expired, the value is the most that it asked for within its last day. Of a model that
-- was never told of it is null, which a trigger fails to read: KEDA then holds what runs, and 0 would take it away.

CREATE OR REPLACE VIEW keda_desired_replicas AS
WITH
    (
        SELECT max(h.evaluated_at) FROM signal_history AS h
        WHERE h.service = {service:String} AND h.model = {model:String} AND h.name = 'scale'
    ) AS told_at
SELECT
    toFloat64(if(
        max(n.is_in_force),
        if(countIf(NOT n.is_gone AND n.counts IS NULL) = 0, sumOrNullIf(n.counts, NOT n.is_gone), NULL),
        sumOrNull(n.most)
    )) AS value,
    toFloat64(ifNull(minOrNull(n.age_s), 1e9)) AS age_s
FROM (
    SELECT
        argMax(tuple(s.value, s.expires_at, s.evaluated_at), s.evaluated_at) AS last,
        last.1 AS newest,
        newest IS NOT NULL AND last.2 > now64(6, 'UTC') AS is_in_force,
        last.2 <= now64(6, 'UTC')
            AND told_at >= last.3 + toIntervalMicrosecond(intDiv(dateDiff('microsecond', last.3, last.2), 2)) AS is_gone,
        max(s.value) AS most,
        if(is_in_force, newest, most) AS counts,
        greatest(dateDiff('microsecond', max(s.evaluated_at), now64(6, 'UTC')) / 1e6, 0.) AS age_s
    FROM signal_history AS s
    WHERE s.service = {service:String} AND s.model = {model:String} AND s.name = 'scale'
        AND s.evaluated_at > told_at - toIntervalDay(1)
    GROUP BY s.scope
) AS n
COMMENT 'value: replicas of a service and a model, of all its variants; when the control is away, the most that it asked for within its last day; null: never told of; age_s: since it was decided, 1e9: never. One row, always'
