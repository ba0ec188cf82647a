-- Which services went silent: had requests today, and none in the last minutes?
-- minutes = 10: silent for this long
SELECT
    service,
    vantage,
    max(slice_start) AS last_minute,
    sum(requests) AS requests_today
FROM sli_1m
WHERE slice_start >= now64(6, 'UTC') - toIntervalHour(24)
GROUP BY service, vantage
HAVING last_minute < now64(6, 'UTC') - toIntervalMinute({minutes:UInt32})
ORDER BY last_minute, service, vantage
