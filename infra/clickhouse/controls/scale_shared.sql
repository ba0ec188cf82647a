-- Which models of which services were served by the same endpoints within the last hour, as the events that are kept say
WITH ifNull((SELECT known_at FROM known_until), now64(6, 'UTC')) AS until
SELECT DISTINCT arraySort(groupUniqArray(20)(tuple(toString(service), toString(request_model)))) AS models
FROM events
WHERE counted_at > until - toIntervalHour(1) AND counted_at <= until AND endpoint_id IS NOT NULL AND outcome = 'SUCCESS'
GROUP BY endpoint_id
HAVING length(models) > 1
LIMIT 1000
