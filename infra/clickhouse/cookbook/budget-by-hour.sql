-- When was the budget of an SLO spent? Each hour's share of it, over its window.
-- slo = : name of the SLO
SELECT
    h.slice_start AS hour,
    sum(h.good) AS good,
    sum(h.bad) AS bad,
    if(any(b.budget) = 0, NULL, sum(h.bad) / any(b.budget)) AS share_of_budget,
    bar(bad, 0, max(bad) OVER (), 30) AS chart
FROM slo_counts_1h AS h
CROSS JOIN (
    SELECT sum(budget_events) AS budget, min(window_start) AS since
    FROM error_budget
    WHERE slo = {slo:String}
) AS b
WHERE h.slo = {slo:String} AND h.slice_start >= b.since
GROUP BY hour
ORDER BY hour
