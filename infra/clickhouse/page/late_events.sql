-- What came late
SELECT slo, instance, late, watermark
FROM late_events
WHERE late > 0
ORDER BY late DESC, slo, instance
LIMIT 100
