-- What is promised to classes: counts of SLO instances in the last seconds that are known, and in their own windows. SLOs and
-- what their selectors pin of a class are named by whoever asks, who knows which of them count events
WITH
    (SELECT known_at FROM known_until) AS known,
    toStartOfInterval(ifNull(known, now64(6, 'UTC')), toIntervalSecond(10), 'UTC') AS until
SELECT c.service AS service, c.slo AS slo, c.labels AS labels, c.target AS target, toString(c.severity) AS severity,
       if(known IS NULL, 0, toUnixTimestamp64Micro(toDateTime64(until, 6, 'UTC'))) AS known_until_us,
       n.good AS good, n.bad AS bad, c.good AS window_good, c.bad AS window_bad,
       transform(toString(c.slo), {slos:Array(String)}, {priority_classes:Array(String)}, '') AS pinned_priority_class,
       transform(toString(c.slo), {slos:Array(String)}, {objectives:Array(String)}, '') AS pinned_objective,
       transform(toString(c.slo), {slos:Array(String)}, {models:Array(String)}, '') AS pinned_request_model
FROM compliance AS c
LEFT JOIN (
    SELECT slo, instance, sum(good) AS good, sum(bad) AS bad
    FROM slo_counts
    WHERE slo IN {slos:Array(String)} AND slice_start >= until - toIntervalSecond({window_s:Float64}) AND slice_start < until
    GROUP BY slo, instance
) AS n ON n.slo = c.slo AND n.instance = c.instance
WHERE c.slo IN {slos:Array(String)}
ORDER BY service, slo, c.instance
