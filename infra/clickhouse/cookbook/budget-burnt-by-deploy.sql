-- How much of an SLO's budget did a deploy burn? The time after a moment beside as much time before it.
-- slo = : name of the SLO
-- at = : the moment, UTC, as 2026-11-26 02:30:00; empty: an hour ago
-- hours = 1: how much before and after
WITH
    ifNull(parseDateTime64BestEffortOrNull({at:String}, 6, 'UTC'), now64(6, 'UTC') - toIntervalHour(1)) AS moment,
    (SELECT sum(budget_events) FROM error_budget WHERE slo = {slo:String}) AS budget
SELECT
    if(slice_start < moment, 'before', 'after') AS side,
    sum(good) AS good,
    sum(bad) AS bad,
    if(good + bad = 0, NULL, bad / (good + bad)) AS bad_ratio,
    if(budget = 0, NULL, bad / budget) AS share_of_budget
FROM slo_counts_1m
WHERE slo = {slo:String}
    AND slice_start >= moment - toIntervalHour({hours:UInt32}) AND slice_start < moment + toIntervalHour({hours:UInt32})
GROUP BY side
ORDER BY side DESC
