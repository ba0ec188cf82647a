-- The most replicas that were ever asked for within a day, of each model and variant
SELECT service, toString(model) AS model, scope AS variant, toInt64(max(value)) AS replicas
FROM signal_log
WHERE name = 'scale' AND evaluated_at > now64(6, 'UTC') - toIntervalDay(1) AND value IS NOT NULL
GROUP BY service, model, variant
ORDER BY service, model, variant
LIMIT 100000
