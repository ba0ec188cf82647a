-- What tenants use, exactly, of whatever may be limited. Sums of stored hours, so periods are of UTC; straight from the table,
-- since every series of a month is summed up at once.

CREATE OR REPLACE VIEW tenant_usage (
    known_at DateTime64(6, 'UTC') COMMENT 'event time up to which is counted',
    period LowCardinality(String) COMMENT 'hour, day or month of UTC that known_at is in; recent: the sixty minutes before it',
    period_start DateTime64(6, 'UTC') COMMENT 'event time at which it began',
    period_end DateTime64(6, 'UTC') COMMENT 'event time at which it ends',
    service LowCardinality(String) COMMENT 'service; empty, as tenant and vantage are: a row that says what the period is, and no use',
    tenant_id LowCardinality(String) COMMENT 'tenant',
    vantage LowCardinality(String) COMMENT 'who measured: GATEWAY, ENGINE or CLIENT; never add them up',
    requests Int64 COMMENT 'events, without those that a quota or an overload turned away',
    tokens Int64 COMMENT 'tokens in and out',
    cost Int128 COMMENT 'cost in 1e-12 USD',
    rate_limited Int64 COMMENT 'events that a quota turned away'
) AS
WITH
    (SELECT known_at FROM known_until) AS known_or_null,
    assumeNotNull(known_or_null) AS known,
    toDateTime64(toStartOfHour(known), 6, 'UTC') AS hour,
    toDateTime64(toStartOfDay(known), 6, 'UTC') AS day,
    toDateTime64(toStartOfMonth(known), 6, 'UTC') AS month,
    toDateTime64(toStartOfMinute(known), 6, 'UTC') AS minute
SELECT
    known AS known_at,
    u.span.1 AS period,
    u.span.2 AS period_start,
    u.span.3 AS period_end,
    u.service AS service,
    u.tenant_id AS tenant_id,
    u.vantage AS vantage,
    u.used.1 AS requests,
    u.used.2 AS tokens,
    u.used.3 AS cost,
    u.used.4 AS rate_limited
FROM (
    SELECT
        service, tenant_id, vantage, span, used
    FROM (
        SELECT
            service, tenant_id, vantage,
            [
                ('hour', hour, hour + toIntervalHour(1)), ('day', day, day + toIntervalDay(1)), ('month', month, month + toIntervalMonth(1))
            ] AS spans,
            [
                (sumIf(let_in, slice_start >= hour), sumIf(both, slice_start >= hour), sumIf(cost_picousd, slice_start >= hour), sumIf(rate_limited, slice_start >= hour)),
                (sumIf(let_in, slice_start >= day), sumIf(both, slice_start >= day), sumIf(cost_picousd, slice_start >= day), sumIf(rate_limited, slice_start >= day)),
                (sum(let_in), sum(both), sum(cost_picousd), sum(rate_limited))
            ] AS useds
        FROM (
            SELECT
                s.slice_start AS slice_start, toString(s.service) AS service, toString(s.tenant_id) AS tenant_id,
                toString(s.vantage) AS vantage, s.success + s.error + s.timeout + s.cancelled + s.rejected + s.unknown AS let_in,
                s.input_tokens + s.output_tokens AS both, toInt128(s.cost_picousd) AS cost_picousd, s.rate_limited AS rate_limited
            FROM slices_1h AS s
            WHERE s.slice_start >= month AND s.slice_start < hour + toIntervalHour(1)
        )
        GROUP BY service, tenant_id, vantage
    )
    ARRAY JOIN spans AS span, useds AS used
    UNION ALL
    SELECT
        toString(s.service) AS service, toString(s.tenant_id) AS tenant_id, toString(s.vantage) AS vantage,
        ('recent', minute - toIntervalHour(1), minute) AS span,
        (
            sum(s.success + s.error + s.timeout + s.cancelled + s.rejected + s.unknown), sum(s.input_tokens + s.output_tokens),
            sum(toInt128(s.cost_picousd)), sum(s.rate_limited)
        ) AS used
    FROM slices_1m AS s
    WHERE s.slice_start >= minute - toIntervalHour(1) AND s.slice_start < minute
    GROUP BY service, tenant_id, vantage
    UNION ALL
    SELECT
        '' AS service, '' AS tenant_id, '' AS vantage,
        arrayJoin([
            ('hour', hour, hour + toIntervalHour(1)), ('day', day, day + toIntervalDay(1)), ('month', month, month + toIntervalMonth(1))
        ]) AS span,
        (toInt64(0), toInt64(0), toInt128(0), toInt64(0)) AS used
) AS u
WHERE known_or_null IS NOT NULL
COMMENT 'What tenants use: one row is a tenant, a service, a vantage and a period; no rows while nothing is known';
