-- What do 1,000 output tokens cost, by model? The cost of every event, failed and retried ones too.
-- hours = 24: how far back
SELECT
    request_model,
    vantage,
    sum(s.output_tokens) AS output_tokens,
    sum(s.cost_picousd) / 1e12 AS cost_usd,
    if(sum(s.output_tokens) = 0, NULL, sum(s.cost_picousd) / sum(s.output_tokens) / 1e9) AS usd_per_1k_tokens
FROM sli_1m AS s
WHERE slice_start >= now64(6, 'UTC') - toIntervalHour({hours:UInt32})
GROUP BY request_model, vantage
ORDER BY usd_per_1k_tokens DESC NULLS LAST, request_model, vantage
