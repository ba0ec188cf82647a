-- What every tenant has used in this hour, day and month of UTC, and in the hour that ends with what is known: exact sums. What
-- a quota or an overload turned away is no usage. A row without a tenant says of a period that it is
WITH
    (SELECT known_at FROM known_until) AS known_or_null,
    assumeNotNull(known_or_null) AS known,
    [
        ('hour', toDateTime64(toStartOfHour(known), 6, 'UTC'), toDateTime64(toStartOfHour(known) + toIntervalHour(1), 6, 'UTC')),
        ('day', toDateTime64(toStartOfDay(known), 6, 'UTC'), toDateTime64(toStartOfDay(known) + toIntervalDay(1), 6, 'UTC')),
        ('month', toDateTime64(toStartOfMonth(known), 6, 'UTC'), toDateTime64(toStartOfMonth(known) + toIntervalMonth(1), 6, 'UTC'))
    ] AS periods
SELECT known AS known_at, span.1 AS period, span.2 AS period_start, span.3 AS period_end, service, tenant_id, vantage,
       requests, tokens, cost, rate_limited
FROM (
    SELECT span, service, tenant_id, vantage, toInt64(sum(let_in)) AS requests, toInt64(sum(tokens_used)) AS tokens,
           toInt64(sum(cost_picousd)) AS cost, toInt64(sum(refused)) AS rate_limited
    FROM (
        SELECT slice_start, toString(service) AS service, toString(tenant_id) AS tenant_id, toString(vantage) AS vantage,
               sum(s.requests - s.rate_limited - s.shed) AS let_in, sum(s.input_tokens + s.output_tokens) AS tokens_used,
               sum(s.cost_picousd) AS cost_picousd, sum(s.rate_limited) AS refused
        FROM sli_1h AS s
        WHERE slice_start >= toStartOfMonth(known) AND slice_start < toStartOfMonth(known) + toIntervalMonth(1)
        GROUP BY slice_start, service, tenant_id, vantage
    )
    ARRAY JOIN periods AS span
    WHERE slice_start >= span.2 AND slice_start < span.3
    GROUP BY span, service, tenant_id, vantage
    UNION ALL
    SELECT ('recent', toStartOfMinute(known) - toIntervalHour(1), toStartOfMinute(known)) AS span, toString(service) AS service,
           toString(tenant_id) AS tenant_id, toString(vantage) AS vantage,
           toInt64(sum(s.requests - s.rate_limited - s.shed)) AS requests, toInt64(sum(s.input_tokens + s.output_tokens)) AS tokens,
           toInt64(sum(s.cost_picousd)) AS cost, toInt64(sum(s.rate_limited)) AS rate_limited
    FROM sli_1m AS s
    WHERE slice_start >= toStartOfMinute(known) - toIntervalHour(1) AND slice_start < toStartOfMinute(known)
    GROUP BY service, tenant_id, vantage
    UNION ALL
    SELECT arrayJoin(periods) AS span, '' AS service, '' AS tenant_id, '' AS vantage, 0 AS requests, 0 AS tokens, 0 AS cost,
           0 AS rate_limited
)
WHERE known_or_null IS NOT NULL
ORDER BY period, service, tenant_id, vantage
