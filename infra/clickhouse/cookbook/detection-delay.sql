-- How long after its event time does an alert leave Burnline?
-- days = 7: how far back
SELECT
    severity,
    count() AS alerts,
    round(quantileExact(0.5)(detection_delay_ms)) AS p50_ms,
    round(quantileExact(0.99)(detection_delay_ms)) AS p99_ms,
    round(max(detection_delay_ms)) AS max_ms
FROM alert_log
WHERE fired_at >= now64(6, 'UTC') - toIntervalDay({days:UInt32}) AND detection_delay_ms IS NOT NULL
GROUP BY severity
ORDER BY severity
