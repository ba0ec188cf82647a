-- What did each change cost? Bad requests and budget of each SLO of its service, an hour before it beside an hour after it.
-- service = : of this service only; empty: of all
-- days = 7: how far back
-- hours = 1: how much before and after
WITH toIntervalHour({hours:UInt32}) AS span
SELECT
    c.at AS at,
    c.service AS service,
    lower(c.kind) AS kind,
    c.title AS title,
    n.slo AS slo,
    sumIf(n.bad, n.slice_start < c.at) AS bad_before,
    sumIf(n.bad, n.slice_start >= c.at) AS bad_after,
    if(sumIf(n.good + n.bad, n.slice_start < c.at) = 0, NULL, bad_before / sumIf(n.good + n.bad, n.slice_start < c.at)) AS bad_before_ratio,
    if(sumIf(n.good + n.bad, n.slice_start >= c.at) = 0, NULL, bad_after / sumIf(n.good + n.bad, n.slice_start >= c.at)) AS bad_after_ratio,
    if(any(b.budget_events) = 0, NULL, bad_after / any(b.budget_events)) AS share_of_budget_after
FROM config_changes AS c
INNER JOIN (
    SELECT e.slo AS slo, any(s.service) AS service, sum(e.budget_events) AS budget_events
    FROM error_budget AS e
    INNER JOIN compliance AS s ON e.slo = s.slo AND e.instance = s.instance
    GROUP BY e.slo
) AS b ON c.service = b.service
INNER JOIN (
    SELECT slo, slice_start, sum(good) AS good, sum(bad) AS bad
    FROM slo_counts_1m
    WHERE slice_start >= now() - toIntervalDay({days:UInt32}) - toIntervalHour({hours:UInt32})
    GROUP BY slo, slice_start
) AS n ON b.slo = n.slo
WHERE c.at >= now() - toIntervalDay({days:UInt32}) AND ({service:String} = '' OR c.service = {service:String})
    AND n.slice_start >= toStartOfMinute(c.at) - span AND n.slice_start < toStartOfMinute(c.at) + span
GROUP BY at, service, kind, title, c.change_id, slo
ORDER BY share_of_budget_after DESC NULLS LAST, at, slo
