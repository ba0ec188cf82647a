-- How many of each model and variant waited, on average over the last minute: by Little's law, of the events that say so
WITH ifNull((SELECT known_at FROM known_until), now64(6, 'UTC')) AS until
SELECT service, toString(request_model) AS model, ifNull(toString(variant), '') AS variant, toString(vantage) AS vantage,
       sum(queue_us * sample_weight / if(sample_ratio > 0, sample_ratio, 1.)) / 1e6 / 60 AS waiting
FROM events
WHERE counted_at > until - toIntervalSecond(60) AND counted_at <= until AND queue_us >= 0
GROUP BY service, model, variant, vantage
ORDER BY service, model, variant, vantage
LIMIT 100000
