-- How many requests in flight an endpoint takes while every SLO keeps its target, as `burnline capacity` tells it.

CREATE OR REPLACE VIEW capacity (
    service LowCardinality(String) COMMENT 'service',
    model LowCardinality(String) COMMENT 'request_model',
    variant String COMMENT 'variant; empty: all of them together',
    state LowCardinality(String) COMMENT 'measured: a greater load breaks an SLO; at_least: no greater load was met; unmet: some SLO is kept at no load; unknown: too few events are kept',
    capacity Nullable(Float64) COMMENT 'requests in flight, running and waiting, at one endpoint up to which every SLO is kept, at the lower bound, but those that are broken alike at all loads; null: not known, or below all loads that were met',
    capacity_likely Nullable(Float64) COMMENT 'the same, as likely as not: between the two bounds; null: not known',
    broken_at Nullable(Float64) COMMENT 'the least load above that breaks an SLO; null: none was met',
    limited_by String COMMENT 'the SLO that is broken first; empty: none was seen to be',
    unmet String COMMENT 'SLOs that were kept at no load, with commas between them',
    peak Nullable(Float64) COMMENT 'what 99 % of requests found in flight at most; null: no data',
    headroom_ratio Nullable(Float64) COMMENT 'capacity / (1.2 x peak) - 1: below 0 there is too little; null: not known',
    in_flight_now Nullable(Float64) COMMENT 'mean in flight at an endpoint in the last minutes; null: not known',
    sustained_ratio Nullable(Float64) COMMENT 'how many times the load of now an endpoint can take for ever; null: not known',
    burst_1_5x_s Nullable(Float64) COMMENT 'seconds until one and a half times the load of now passes the capacity; null: never, or not known',
    burst_2x_s Nullable(Float64) COMMENT 'the same of twice the load of now',
    burst_3x_s Nullable(Float64) COMMENT 'the same of three times the load of now',
    rps_per_endpoint Nullable(Float64) COMMENT 'requests a second that an endpoint serves at its capacity; null: not known',
    residence_s Nullable(Float64) COMMENT 'mean seconds of a request at that load; null: not known',
    confidence Nullable(Float64) COMMENT 'of each bound of compliance',
    samples Int64 COMMENT 'events that were looked at',
    evaluated_at DateTime64(6, 'UTC') COMMENT 'when it was decided',
    age_s Float64 COMMENT 'seconds since then',
    is_expired Bool COMMENT 'whether it says nothing any more'
) AS
SELECT
    s.service AS service,
    s.model AS model,
    s.scope AS variant,
    s.state AS state,
    s.value AS capacity,
    if(mapContains(s.inputs, 'capacity_likely'), s.inputs['capacity_likely'], NULL) AS capacity_likely,
    if(mapContains(s.inputs, 'broken_at'), s.inputs['broken_at'], NULL) AS broken_at,
    s.details['limited_by'] AS limited_by,
    s.details['unmet'] AS unmet,
    if(mapContains(s.inputs, 'peak'), s.inputs['peak'], NULL) AS peak,
    if(mapContains(s.inputs, 'headroom_ratio'), s.inputs['headroom_ratio'], NULL) AS headroom_ratio,
    if(mapContains(s.inputs, 'now'), s.inputs['now'], NULL) AS in_flight_now,
    if(mapContains(s.inputs, 'sustained_ratio'), s.inputs['sustained_ratio'], NULL) AS sustained_ratio,
    if(mapContains(s.inputs, 'burst_1_5x_s'), s.inputs['burst_1_5x_s'], NULL) AS burst_1_5x_s,
    if(mapContains(s.inputs, 'burst_2x_s'), s.inputs['burst_2x_s'], NULL) AS burst_2x_s,
    if(mapContains(s.inputs, 'burst_3x_s'), s.inputs['burst_3x_s'], NULL) AS burst_3x_s,
    if(mapContains(s.inputs, 'rps_per_endpoint'), s.inputs['rps_per_endpoint'], NULL) AS rps_per_endpoint,
    if(mapContains(s.inputs, 'residence_s'), s.inputs['residence_s'], NULL) AS residence_s,
    s.confidence AS confidence,
    s.samples AS samples,
    s.evaluated_at AS evaluated_at,
    greatest(dateDiff('microsecond', s.evaluated_at, now64(6, 'UTC')) / 1e6, 0.) AS age_s,
    s.expires_at <= now64(6, 'UTC') AS is_expired
FROM signal_records AS s FINAL
WHERE s.name = 'capacity'
COMMENT 'Capacity, headroom and bursts: one row is an endpoint of a service, a model and a variant, as it was told last';
