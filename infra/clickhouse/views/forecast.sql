-- What is forecast, how far to trust it, and by which model; published by `burnline forecast`.

CREATE OR REPLACE VIEW forecast (
    service LowCardinality(String) COMMENT 'service',
    model LowCardinality(String) COMMENT 'request_model; empty: of a budget, all that it counts',
    quantity LowCardinality(String) COMMENT 'load, tokens, cost or budget',
    horizon String COMMENT '5m, 15m, 60m, 6h, 1d, 3d or 7d; of a budget the SLO and its instance, as slo:instance',
    state LowCardinality(String) COMMENT 'forecast: by a model that beat last season on forecasts that had no part in choosing it; fallback: last season again; unknown: too little is known; of a budget holds, at_risk, exhausts or spent',
    value Nullable(Float64) COMMENT 'of load the rate at the horizon, of tokens and cost the sum until then, of a budget the seconds until it is spent; null: unknown, or it will not be spent as far as can be foreseen',
    unit LowCardinality(String) COMMENT 'requests/s, tokens, USD or s',
    q10 Nullable(Float64) COMMENT 'a tenth of what comes lies below; null: not told',
    q50 Nullable(Float64) COMMENT 'half of what comes lies below; null: not told',
    q90 Nullable(Float64) COMMENT 'nine tenths of what comes lie below; null: not told',
    soonest_s Nullable(Float64) COMMENT 'of a budget: seconds until it is spent if as much is bad as in the worst tenth; null: not even then, or no budget',
    latest_s Nullable(Float64) COMMENT 'of a budget: seconds until it is spent if as little is bad as in the best tenth; null: not then, or no budget',
    horizon_s Nullable(Float64) COMMENT 'seconds from watermark to the horizon; null: not told',
    chosen LowCardinality(String) COMMENT 'model of forecasting that is used; empty: none',
    mase Nullable(Float64) COMMENT 'its mean error on rolling origins, in mean errors of last season again within the history; null: not told',
    relative_mae Nullable(Float64) COMMENT 'its mean error over that of last season again, on the origins that had no part in choosing it; below 1 it is closer; 1: it is last season again; null: not told',
    coverage_ratio Nullable(Float64) COMMENT 'share of what came that lay between q10 and q90, 0.8 is meant, on origins that these were not made of; null: too few to tell',
    pinball Nullable(Float64) COMMENT 'mean quantile loss of q10, q50 and q90 there; null: too few to tell',
    rivals Map(String, Float64) COMMENT 'model of forecasting and its mean error over that of last season again, on all origins',
    reason String COMMENT 'why this model, in a sentence',
    origins Int64 COMMENT 'forecasts of the past that were compared with what came',
    watermark Nullable(DateTime64(6, 'UTC')) COMMENT 'event time that the forecast begins at; null: unknown',
    evaluated_at DateTime64(6, 'UTC') COMMENT 'when it was made',
    expires_at DateTime64(6, 'UTC') COMMENT 'from then on nothing is known',
    age_s Float64 COMMENT 'seconds since it was made',
    is_expired Bool COMMENT 'whether it says nothing any more'
) AS
SELECT
    s.service AS service,
    s.model AS model,
    splitByChar(':', s.scope)[1] AS quantity,
    substring(s.scope, length(splitByChar(':', s.scope)[1]) + 2) AS horizon,
    s.state AS state,
    s.value AS value,
    s.unit AS unit,
    if(mapContains(s.inputs, 'q10'), toNullable(s.inputs['q10']), NULL) AS q10,
    if(mapContains(s.inputs, 'q50'), toNullable(s.inputs['q50']), NULL) AS q50,
    if(mapContains(s.inputs, 'q90'), toNullable(s.inputs['q90']), NULL) AS q90,
    if(mapContains(s.inputs, 'soonest_s'), toNullable(s.inputs['soonest_s']), NULL) AS soonest_s,
    if(mapContains(s.inputs, 'latest_s'), toNullable(s.inputs['latest_s']), NULL) AS latest_s,
    if(mapContains(s.inputs, 'horizon_s'), toNullable(s.inputs['horizon_s']), NULL) AS horizon_s,
    s.details['model'] AS chosen,
    if(mapContains(s.inputs, 'mase'), toNullable(s.inputs['mase']), NULL) AS mase,
    if(mapContains(s.inputs, 'relative_mae'), toNullable(s.inputs['relative_mae']), NULL) AS relative_mae,
    if(mapContains(s.inputs, 'coverage'), toNullable(s.inputs['coverage']), NULL) AS coverage_ratio,
    if(mapContains(s.inputs, 'pinball'), toNullable(s.inputs['pinball']), NULL) AS pinball,
    CAST(
        (
            arrayMap(rival -> substring(rival, 7), arrayFilter(rival -> startsWith(rival, 'rival:'), mapKeys(s.details))),
            arrayMap(rival -> toFloat64OrZero(s.details[rival]), arrayFilter(rival -> startsWith(rival, 'rival:'), mapKeys(s.details)))
        ),
        'Map(String, Float64)'
    ) AS rivals,
    s.reason AS reason,
    s.samples AS origins,
    s.watermark AS watermark,
    s.evaluated_at AS evaluated_at,
    s.expires_at AS expires_at,
    greatest(dateDiff('microsecond', s.evaluated_at, now64(6, 'UTC')) / 1e6, 0.) AS age_s,
    s.expires_at <= now64(6, 'UTC') AS is_expired
FROM signal_records AS s FINAL
WHERE s.name = 'forecast'
COMMENT 'What is forecast: one row is a service, a model, a quantity and a horizon, or an SLO instance''s budget';
