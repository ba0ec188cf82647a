-- What was offered in the last seconds that are known, by tenant and priority, and what of it was shed; exact. Quotas and bad
-- requests would not have been served anyhow
WITH
    (SELECT known_at FROM known_until) AS known,
    toStartOfInterval(ifNull(known, now64(6, 'UTC')), toIntervalSecond(10), 'UTC') AS until
SELECT toString(service) AS service, toString(request_model) AS model, toString(tenant_id) AS tenant_id,
       toString(priority_class) AS priority_class, toString(vantage) AS vantage,
       toInt64(sum(requests - rate_limited - rejected)) AS requests, toInt64(sum(shed)) AS shed,
       toInt64(sum(success + error + timeout + cancelled)) AS served,
       toFloat64(sum(input_tokens) + {output_work:Float64} * sum(output_tokens)) AS work
FROM sli
WHERE slice_start >= until - toIntervalSecond({window_s:Float64}) AND slice_start < until
GROUP BY service, model, tenant_id, priority_class, vantage
ORDER BY service, model, tenant_id, priority_class, vantage
