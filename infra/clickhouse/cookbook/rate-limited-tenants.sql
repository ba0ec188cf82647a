-- Which tenants run into their quota?
-- hours = 24: how far back
SELECT
    tenant_id,
    vantage,
    sum(requests) AS requests,
    sum(rate_limited) AS rate_limited,
    rate_limited / requests AS rate_limited_ratio
FROM sli_1m
WHERE slice_start >= now64(6, 'UTC') - toIntervalHour({hours:UInt32})
GROUP BY tenant_id, vantage
HAVING rate_limited > 0
ORDER BY rate_limited DESC, tenant_id, vantage
