-- Did P99 change at a moment, variant by variant? The hours before it beside the hours after it.
-- at = : the moment, UTC, as 2026-11-26 02:30:00; empty: an hour ago
-- hours = 1: how much before and after
-- model = : of this model only; empty: of all
WITH ifNull(parseDateTime64BestEffortOrNull({at:String}, 6, 'UTC'), now64(6, 'UTC') - toIntervalHour(1)) AS moment
SELECT
    request_model,
    variant,
    vantage,
    sumIf(s.requests, s.slice_start < moment) AS requests_before,
    sumIf(s.requests, s.slice_start >= moment) AS requests_after,
    if(requests_before = 0, NULL, round(quantilesDDMergeIf(0.01, 0.5, 0.95, 0.99)(s.e2e_state, s.slice_start < moment)[3] / 1000, 1)) AS e2e_p99_before_ms,
    if(requests_after = 0, NULL, round(quantilesDDMergeIf(0.01, 0.5, 0.95, 0.99)(s.e2e_state, s.slice_start >= moment)[3] / 1000, 1)) AS e2e_p99_after_ms,
    round(e2e_p99_after_ms / e2e_p99_before_ms, 2) AS times
FROM sli_1m AS s
WHERE s.slice_start >= moment - toIntervalHour({hours:UInt32}) AND s.slice_start < moment + toIntervalHour({hours:UInt32})
    AND ({model:String} = '' OR request_model = {model:String})
GROUP BY request_model, variant, vantage
ORDER BY times DESC NULLS LAST, request_model, variant, vantage
