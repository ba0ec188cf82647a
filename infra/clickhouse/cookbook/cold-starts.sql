-- How many requests meet a replica that is warming up, by model and variant?
-- hours = 24: how far back
SELECT
    request_model,
    variant,
    vantage,
    sum(requests) AS requests,
    sum(cold_starts) AS cold_starts,
    if(requests = 0, NULL, cold_starts / requests) AS cold_start_ratio,
    if(isNaN(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(ttft_state)[3]), NULL, round(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(ttft_state)[3] / 1000, 1)) AS ttft_p99_ms
FROM sli_1m
WHERE slice_start >= now64(6, 'UTC') - toIntervalHour({hours:UInt32})
GROUP BY request_model, variant, vantage
ORDER BY cold_start_ratio DESC NULLS LAST, request_model, variant, vantage
