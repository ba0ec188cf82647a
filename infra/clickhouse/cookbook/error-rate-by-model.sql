-- Which models fail, and how: errors and time-outs among the requests that ended well or badly?
-- hours = 1: how far back
SELECT
    service,
    request_model,
    vantage,
    sum(success) AS success,
    sum(error) AS error,
    sum(timeout) AS timeout,
    if(success + error + timeout = 0, NULL, (error + timeout) / (success + error + timeout)) AS error_ratio
FROM sli_1m
WHERE slice_start >= now64(6, 'UTC') - toIntervalHour({hours:UInt32})
GROUP BY service, request_model, vantage
ORDER BY error_ratio DESC NULLS LAST, service, request_model, vantage
