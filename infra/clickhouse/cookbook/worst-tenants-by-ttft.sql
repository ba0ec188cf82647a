-- Which tenants wait longest for their first token?
-- hours = 1: how far back
-- service = : of this service only; empty: of all
SELECT
    tenant_id,
    vantage,
    sum(requests) AS requests,
    if(isNaN(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(ttft_state)[1]), NULL, round(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(ttft_state)[1] / 1000, 1)) AS ttft_p50_ms,
    if(isNaN(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(ttft_state)[3]), NULL, round(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(ttft_state)[3] / 1000, 1)) AS ttft_p99_ms
FROM sli_1m
WHERE slice_start >= now64(6, 'UTC') - toIntervalHour({hours:UInt32}) AND ({service:String} = '' OR service = {service:String})
GROUP BY tenant_id, vantage
ORDER BY ttft_p99_ms DESC NULLS LAST, tenant_id, vantage
LIMIT 20
