-- What each load did to each SLO of a service: requests by how many were in flight, running and waiting, at the endpoint
-- that took them. Events that are bad are all kept, of the others a share: each stands for `weight` requests. Exact up to
-- 31 in flight, in steps of 3 to 6 % above. Instead of the comments stand the SLOs: names, targets, what each event is to each
-- of them (pipeline/controls/predicates.py), and of times to first tokens how many took how long (pipeline/controls/shift.py).
WITH
    (SELECT tuple(known_at, age_s) FROM known_until) AS known,
    ifNull(known.1, now64(6, 'UTC')) AS until
SELECT
    {service:String} AS service, model, config AS variant, least, max(in_flight) AS most,
    count() AS kept, uniqExact(toStartOfMinute(counted_at)) AS minutes,
    sum(weight) AS requests, sum(weight * in_flight) AS in_flight_sum,
    sumIf(weight, is_now) AS requests_now, sumIf(weight * in_flight, is_now) AS in_flight_now,
    sum(toFloat64(sample_weight)) AS sampled, sum(toFloat64(sample_weight) * sample_weight) AS sampled_squares,
    sumIf(weight, has_run) AS requests_run, sumIf(weight * e2e_us, has_run) / 1e6 AS residence_s_sum,
    sumForEach(arrayMap(v -> toFloat64(v = 1), verdicts)) AS good_kept,
    sumForEach(arrayMap(v -> if(v = 1, weight, 0.), verdicts)) AS good,
    sumForEach(arrayMap(v -> if(v = 1, weight * weight, 0.), verdicts)) AS good_squares,
    sumForEach(arrayMap(v -> toFloat64(v = 2), verdicts)) AS bad_kept,
    sumForEach(arrayMap(v -> if(v = 2, weight, 0.), verdicts)) AS bad,
    sumForEach(arrayMap(v -> if(v = 2, weight * weight, 0.), verdicts)) AS bad_squares,
    [/* spreads */] AS spreads,
    any(until) AS watermark, any(known.2) AS age_s, [/* slos */] AS slos, [/* targets */] AS targets
FROM (
    SELECT
        *,
        ifNull(toString(variant), '') AS config, toString(request_model) AS model,
        toUInt64(ifNull(adm_running, 0)) + toUInt64(greatest(ifNull(adm_waiting, 0), 0)) AS in_flight,
        if(in_flight < 32, 0, toUInt8(floor(log2(in_flight))) - 4) AS shift,
        bitShiftLeft(bitShiftRight(in_flight, shift), shift) AS least,
        sample_weight / if(sample_ratio > 0, sample_ratio, 1.) AS weight,
        counted_at > until - toIntervalMicrosecond(toInt64({now_s:Float64} * 1e6)) AS is_now,
        /* what */ AS what,
        what BETWEEN 1 AND 5 AS has_run,
        [/* verdicts */] AS verdicts,
        [/* cells */] AS cells
    FROM events
    WHERE service = {service:String} AND counted_at <= until AND ifNull(adm_running, -1) >= 0
        AND counted_at > until - toIntervalMicrosecond(toInt64({window_s:Float64} * 1e6))
)
GROUP BY model, config, least
ORDER BY model, config, least
LIMIT 100000
