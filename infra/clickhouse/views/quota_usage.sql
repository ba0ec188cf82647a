-- What tenants have used of their quotas, as the control of quotas tells it: the limits are in the file of controls, so SQL does
-- not know them. `burnline quotas` asks anew.

CREATE OR REPLACE VIEW quota_usage (
    quota String COMMENT 'name of the quota',
    service LowCardinality(String) COMMENT 'service; empty: all services together',
    tenant_id String COMMENT 'tenant',
    metric LowCardinality(String) COMMENT 'what is limited: requests, tokens, or cost in 1e-12 USD',
    per LowCardinality(String) COMMENT 'hour, day or month of UTC',
    period_start DateTime64(6, 'UTC') COMMENT 'event time at which the period began',
    period_end DateTime64(6, 'UTC') COMMENT 'event time at which it ends',
    used Int128 COMMENT 'used in it until known_until, exactly; what was turned away is not',
    limit Int128 COMMENT 'what may be used in it',
    remaining Int128 COMMENT 'what is left, 0 when nothing is',
    over Int128 COMMENT 'used beyond the limit',
    used_ratio Float64 COMMENT 'used / limit',
    state LowCardinality(String) COMMENT 'within, near or exceeded; exceeded: more was used than may be',
    recent_per_s Float64 COMMENT 'used a second in the hour before known_until',
    exhausted_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when nothing is left if it goes on so; null: not in this period',
    turned_away Int64 COMMENT 'requests of the period that a quota refused',
    known_until DateTime64(6, 'UTC') COMMENT 'event time up to which is counted',
    evaluated_at DateTime64(6, 'UTC') COMMENT 'when it was summed up',
    age_s Float64 COMMENT 'seconds since then',
    is_expired Bool COMMENT 'whether it says nothing any more'
) AS
SELECT
    s.details['quota'] AS quota,
    s.service AS service,
    s.details['tenant_id'] AS tenant_id,
    s.details['metric'] AS metric,
    s.details['per'] AS per,
    fromUnixTimestamp64Micro(toInt64OrZero(s.details['period_start']), 'UTC') AS period_start,
    fromUnixTimestamp64Micro(toInt64OrZero(s.details['period_end']), 'UTC') AS period_end,
    toInt128OrZero(s.details['used']) AS used,
    toInt128OrZero(s.details['limit']) AS limit,
    greatest(limit - used, 0) AS remaining,
    greatest(used - limit, 0) AS over,
    assumeNotNull(s.value) AS used_ratio,
    s.state AS state,
    s.inputs['recent_per_s'] AS recent_per_s,
    if(mapContains(s.inputs, 'exhausted_in_s'),
       addMicroseconds(assumeNotNull(s.watermark), toInt64(round(s.inputs['exhausted_in_s'] * 1e6))), NULL) AS exhausted_at,
    toInt64(s.inputs['turned_away']) AS turned_away,
    assumeNotNull(s.watermark) AS known_until,
    s.evaluated_at AS evaluated_at,
    greatest(dateDiff('microsecond', s.evaluated_at, now64(6, 'UTC')) / 1e6, 0.) AS age_s,
    s.expires_at <= now64(6, 'UTC') AS is_expired
FROM signal_records AS s FINAL
WHERE s.name = 'quota' AND mapContains(s.details, 'tenant_id')
COMMENT 'Quotas: one row is a tenant and a quota, in the period that event time was in when it was told last';
