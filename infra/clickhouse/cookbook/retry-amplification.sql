-- How many attempts does a request take, by model?
-- hours = 24: how far back
SELECT
    service,
    request_model,
    vantage,
    sum(requests) AS attempts,
    sum(retries) AS retries,
    if(attempts = retries, NULL, attempts / (attempts - retries)) AS attempts_per_request
FROM sli_1m
WHERE slice_start >= now64(6, 'UTC') - toIntervalHour({hours:UInt32})
GROUP BY service, request_model, vantage
ORDER BY attempts_per_request DESC NULLS LAST, service, request_model, vantage
