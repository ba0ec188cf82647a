-- How fast is each model: whole answers, first tokens, tokens after it?
-- hours = 1: how far back
SELECT
    service,
    request_model,
    vantage,
    sum(requests) AS requests,
    if(isNaN(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(e2e_state)[1]), NULL, round(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(e2e_state)[1] / 1000, 1)) AS e2e_p50_ms,
    if(isNaN(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(e2e_state)[3]), NULL, round(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(e2e_state)[3] / 1000, 1)) AS e2e_p99_ms,
    if(isNaN(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(ttft_state)[1]), NULL, round(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(ttft_state)[1] / 1000, 1)) AS ttft_p50_ms,
    if(isNaN(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(ttft_state)[3]), NULL, round(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(ttft_state)[3] / 1000, 1)) AS ttft_p99_ms,
    if(isNaN(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(tpot_state)[3]), NULL, round(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(tpot_state)[3] / 1000, 1)) AS tpot_p99_ms
FROM sli_1m
WHERE slice_start >= now64(6, 'UTC') - toIntervalHour({hours:UInt32})
GROUP BY service, request_model, vantage
ORDER BY e2e_p99_ms DESC NULLS LAST, service, request_model, vantage
