-- What could not be used, and why
SELECT reason, count() AS records, countIf(isNotNull(redriven_at)) AS redriven, min(dead_at) AS first_at,
       max(dead_at) AS last_at, argMax(detail, dead_at) AS example
FROM dead_letters
GROUP BY reason
ORDER BY records DESC
LIMIT 100
