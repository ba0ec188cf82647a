-- What every tenant has used in this hour, day and month of UTC, and in the hour that ends with what is known
SELECT known_at, toString(period) AS period, period_start, period_end, toString(service) AS service,
       toString(tenant_id) AS tenant_id, toString(vantage) AS vantage, requests, tokens, cost, rate_limited
FROM tenant_usage
ORDER BY period, service, tenant_id, vantage
