-- Configurations of models and what they did, hour by hour; hours in which a configuration changed are left out, and those
-- that are not known to their end. Latency is of one metric: e2e, ttft or tpot
SELECT
    service, request_model AS model, priority_class, variant, config_epoch AS epoch,
    groupArray(tuple(at_s, requests, bad, output_tokens, metered, gpu_us, paid, p99_us)) AS hours,
    arrayMap(us -> if(isNaN(us), -1., us), finalizeAggregation(CAST(
        CAST(quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(latency), 'String'),
        'AggregateFunction(quantilesDD(0.01, 0.95, 0.97, 0.98, 0.985, 0.988, 0.99, 0.992, 0.995, 0.998, 0.999, 0.9999), Float64)'
    ))) AS quantiles_us
FROM (
    SELECT
        service, request_model, priority_class, variant, config_epoch, toUnixTimestamp(slice_start) AS at_s,
        sum(h.requests) AS requests, if(countIf(isNull(h.bad_requests)) > 0, NULL, toInt64(round(sum(ifNull(h.bad_requests, 0))))) AS bad,
        sum(h.output_tokens) AS output_tokens, sum(h.cost_picousd) AS metered,
        sum(if(isNull(h.paid_gpu_us), h.gpu_us, assumeNotNull(h.paid_gpu_us))) AS gpu_us,
        if(countIf(isNull(h.paid_picousd)) > 0, NULL, sum(ifNull(h.paid_picousd, 0))) AS paid,
        quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(
            multiIf({latency:String} = 'ttft', h.ttft_state, {latency:String} = 'tpot', h.tpot_state, h.e2e_state)
        ) AS latency,
        if(isNaN(finalizeAggregation(latency)[3]), NULL, finalizeAggregation(latency)[3]) AS p99_us
    FROM config_hours AS h
    WHERE slice_start >= now64(6, 'UTC') - toIntervalSecond(toInt64({window_s:Float64})) AND NOT is_mixed AND h.requests > 0
        AND slice_start <= ifNull((SELECT known_at FROM known_until), now64(6, 'UTC')) - toIntervalHour(1)
        AND ({service:String} = '' OR service = {service:String})
    GROUP BY service, request_model, priority_class, variant, config_epoch, at_s
)
GROUP BY service, model, priority_class, variant, epoch
ORDER BY service, model, priority_class, variant, epoch
LIMIT 10000
