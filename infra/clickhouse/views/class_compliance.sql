-- How every class of service fares, and what is shed of it, as the control of shedding tells it: the table of classes is in the
-- file of controls, so SQL does not know it.

CREATE OR REPLACE VIEW class_compliance (
    service LowCardinality(String) COMMENT 'service',
    model LowCardinality(String) COMMENT 'request_model; empty: all models of the service',
    class LowCardinality(String) COMMENT 'CRITICAL, HIGH_FAST, HIGH_SLOW, LOW or NO_SLO',
    slo String COMMENT 'the SLO of the class that burns most now; empty: none has data',
    target Nullable(Float64) COMMENT 'of that SLO; null: none has data',
    window_good Nullable(Int64) COMMENT 'good events of that SLO, in its own window; null: none has data',
    window_bad Nullable(Int64) COMMENT 'bad events of it',
    window_compliance_ratio Nullable(Float64) COMMENT 'window_good / (window_good + window_bad); null: no data',
    good Nullable(Int64) COMMENT 'good events of it in the last seconds; null: none has data',
    bad Nullable(Int64) COMMENT 'bad events of it in the last seconds',
    compliance_ratio Nullable(Float64) COMMENT 'good / (good + bad), of the last seconds; null: no data',
    burn_rate Nullable(Float64) COMMENT 'of the last seconds; null: no data',
    offered_rps Float64 COMMENT 'requests a second, shed ones too',
    shed_rps Float64 COMMENT 'of them, shed',
    shed_ratio Nullable(Float64) COMMENT 'shed / offered; null: nothing was offered',
    with_shed_ratio Nullable(Float64) COMMENT 'good / (good + bad + shed): what compliance is at least when every shed request is bad; null: no data',
    shed_share Nullable(Float64) COMMENT 'the share of the class that is to be shed, by the advice; null: not known',
    load LowCardinality(String) COMMENT 'exact; estimated: its priority makes other classes too, and is split as the events that are kept say',
    window_s Int64 COMMENT 'how long the last seconds are',
    known_until Nullable(DateTime64(6, 'UTC')) COMMENT 'event time at which they end',
    evaluated_at DateTime64(6, 'UTC') COMMENT 'when it was decided',
    age_s Float64 COMMENT 'seconds since then',
    is_expired Bool COMMENT 'whether it says nothing any more: then nobody is to be shed'
) AS
SELECT
    s.service AS service,
    s.model AS model,
    s.scope AS class,
    s.details['slo'] AS slo,
    if(mapContains(s.inputs, 'target'), s.inputs['target'], NULL) AS target,
    if(mapContains(s.inputs, 'window_good'), toInt64(s.inputs['window_good']), NULL) AS window_good,
    if(mapContains(s.inputs, 'window_bad'), toInt64(s.inputs['window_bad']), NULL) AS window_bad,
    if(mapContains(s.inputs, 'window_compliance_ratio'), s.inputs['window_compliance_ratio'], NULL) AS window_compliance_ratio,
    if(mapContains(s.inputs, 'good'), toInt64(s.inputs['good']), NULL) AS good,
    if(mapContains(s.inputs, 'bad'), toInt64(s.inputs['bad']), NULL) AS bad,
    if(mapContains(s.inputs, 'compliance_ratio'), s.inputs['compliance_ratio'], NULL) AS compliance_ratio,
    if(mapContains(s.inputs, 'burn_rate'), s.inputs['burn_rate'], NULL) AS burn_rate,
    s.inputs['offered_rps'] AS offered_rps,
    s.inputs['shed_rps'] AS shed_rps,
    if(mapContains(s.inputs, 'shed_ratio'), s.inputs['shed_ratio'], NULL) AS shed_ratio,
    if(mapContains(s.inputs, 'with_shed_ratio'), s.inputs['with_shed_ratio'], NULL) AS with_shed_ratio,
    s.value AS shed_share,
    s.details['load'] AS load,
    s.window_s AS window_s,
    s.watermark AS known_until,
    s.evaluated_at AS evaluated_at,
    greatest(dateDiff('microsecond', s.evaluated_at, now64(6, 'UTC')) / 1e6, 0.) AS age_s,
    s.expires_at <= now64(6, 'UTC') AS is_expired
FROM signal_records AS s FINAL
WHERE s.name = 'shed' AND s.scope != ''
COMMENT 'Compliance and shedding of classes of service: one row is a class of a service and a model, as it was told last';
