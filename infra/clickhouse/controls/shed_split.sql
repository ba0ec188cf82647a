-- How the load of a priority splits into objectives, as the events that are kept weigh them, and how long they queue and how
-- much work they are: quantiles at 0, 0.1 .. 1
WITH
    (SELECT known_at FROM known_until) AS known,
    toStartOfInterval(ifNull(known, now64(6, 'UTC')), toIntervalSecond(10), 'UTC') AS until
SELECT service, model, priority_class, objective,
       sumIf(weight, outcome NOT IN ('RATE_LIMITED', 'REJECTED')) AS requests, sumIf(weight, outcome = 'SHED') AS shed,
       sumIf(weight, is_served) AS served,
       if(countIf(queued_s >= 0) = 0, [],
          quantilesExactWeightedIf(0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)(queued_s, whole_weight, queued_s >= 0)) AS queued_s,
       if(countIf(is_served) = 0, [],
          quantilesExactWeightedIf(0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)(work, whole_weight, is_served)) AS request_work
FROM (
    SELECT toString(e.service) AS service, toString(e.request_model) AS model, toString(e.outcome) AS outcome,
           multiIf(e.priority < 0, 'sheddable', e.priority = 0, 'standard', 'critical') AS priority_class,
           ifNull(toString(e.objective), '') AS objective,
           e.outcome IN ('SUCCESS', 'ERROR', 'TIMEOUT', 'CANCELLED') AS is_served,
           e.sample_weight / if(e.sample_ratio > 0, e.sample_ratio, 1) AS weight,
           toUInt64(round(weight * 1000)) AS whole_weight,
           ifNull(e.queue_us, -1) / 1e6 AS queued_s,
           ifNull(e.input_tokens, 0) + {output_work:Float64} * ifNull(e.output_tokens, 0) AS work
    FROM events AS e
    WHERE e.counted_at >= until - toIntervalSecond({split_s:Float64}) AND e.counted_at < until
)
GROUP BY service, model, priority_class, objective
ORDER BY service, model, priority_class, objective
