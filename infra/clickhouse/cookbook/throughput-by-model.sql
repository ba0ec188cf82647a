-- How much does each model serve: on average, and in its busiest minute?
-- hours = 1: how far back
SELECT
    request_model,
    vantage,
    sum(per_minute) AS served,
    round(sum(per_minute) / ({hours:UInt32} * 3600), 3) AS served_per_s,
    round(max(per_minute) / 60, 3) AS served_per_s_max,
    round(sum(tokens) / ({hours:UInt32} * 3600), 3) AS output_tokens_per_s,
    round(max(tokens) / 60, 3) AS output_tokens_per_s_max
FROM (
    SELECT request_model, vantage, slice_start, sum(success) AS per_minute, sum(output_tokens) AS tokens
    FROM sli_1m
    WHERE slice_start >= now64(6, 'UTC') - toIntervalHour({hours:UInt32})
    GROUP BY request_model, vantage, slice_start
)
GROUP BY request_model, vantage
ORDER BY served DESC, request_model, vantage
