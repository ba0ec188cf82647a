-- Which tenants have used most of their quota, and when is nothing left?
-- least = 0.8: share of the quota from which on
SELECT
    quota,
    tenant_id,
    service,
    metric,
    per,
    used,
    limit,
    used_ratio,
    state,
    exhausted_at,
    period_end,
    is_expired
FROM quota_usage
WHERE used_ratio >= {least:Float64}
ORDER BY used_ratio DESC, quota, tenant_id
