-- Who spends the money and the accelerators' time?
-- hours = 24: how far back
SELECT
    tenant_id,
    vantage,
    sum(requests) AS requests,
    sum(cost_picousd) / 1e12 AS cost_usd,
    if(sum(cost_usd) OVER () = 0, NULL, cost_usd / sum(cost_usd) OVER ()) AS share_of_cost,
    sum(gpu_us) / 1e6 AS gpu_s
FROM sli_1m
WHERE slice_start >= now64(6, 'UTC') - toIntervalHour({hours:UInt32})
GROUP BY tenant_id, vantage
ORDER BY cost_usd DESC, tenant_id, vantage
LIMIT 50
