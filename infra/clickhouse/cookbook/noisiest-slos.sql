-- Which SLOs page most, and for how long?
-- days = 7: how far back
SELECT
    slo,
    kind,
    count() AS alerts,
    countIf(severity = 'CRITICAL') AS critical,
    countIf(resolved_at IS NULL) AS still_firing,
    round(sum(dateDiff('second', fired_at, ifNull(resolved_at, now64(6, 'UTC')))) / 60, 1) AS minutes_firing,
    max(peak_burn_rate) AS peak_burn_rate
FROM alert_log
WHERE fired_at >= now64(6, 'UTC') - toIntervalDay({days:UInt32})
GROUP BY slo, kind
ORDER BY alerts DESC, minutes_firing DESC, slo, kind
