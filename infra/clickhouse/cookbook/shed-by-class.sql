-- How many requests are shed, by priority class?
-- hours = 1: how far back
SELECT
    service,
    priority_class,
    vantage,
    sum(requests) AS requests,
    sum(shed) AS shed,
    if(requests = 0, NULL, shed / requests) AS shed_ratio
FROM sli_1m
WHERE slice_start >= now64(6, 'UTC') - toIntervalHour({hours:UInt32})
GROUP BY service, priority_class, vantage
ORDER BY shed_ratio DESC NULLS LAST, service, priority_class, vantage
