-- How many endpoints of each variant have served lately, as the events that are kept say
WITH
    (SELECT known_at FROM known_until) AS known,
    toStartOfInterval(ifNull(known, now64(6, 'UTC')), toIntervalSecond(10), 'UTC') AS until
SELECT toString(service) AS service, toString(request_model) AS model, ifNull(toString(variant), '') AS variant,
       uniqExact(endpoint_id) AS endpoints
FROM events
WHERE counted_at >= until - toIntervalSecond({split_s:Float64}) AND counted_at < until AND endpoint_id IS NOT NULL
    AND outcome = 'SUCCESS'
GROUP BY service, model, variant
ORDER BY service, model, variant
