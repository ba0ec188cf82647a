-- What a service's models cost and what came of it; figures of what is paid and what is good are of the hours in which they
-- are known. Pico-USD in 64 bits end at nine million USD
SELECT
    c.service AS service, c.request_model AS model, max(c.slice_start) + toIntervalHour(1) AS until,
    sum(c.requests) AS requests, sum(c.output_tokens) AS output_tokens, sum(toInt128(c.cost_picousd)) AS cost_picousd,
    sumIf(toInt128(c.cost_picousd), c.good_tokens IS NOT NULL) AS good_cost_picousd, sum(ifNull(c.good_tokens, 0)) AS good_tokens,
    sum(toInt128(ifNull(c.paid_picousd, 0))) AS paid_picousd, sumIf(c.output_tokens, c.paid_picousd IS NOT NULL) AS paid_tokens,
    sum(toInt128(ifNull(c.idle_picousd, 0))) AS idle_picousd,
    sumIf(toInt128(ifNull(c.paid_picousd, 0)), c.idle_picousd IS NOT NULL) AS split_picousd,
    uniqExact(c.slice_start) AS hours,
    uniqExactIf(c.slice_start, c.paid_picousd IS NOT NULL) AS paid_hours
FROM cost AS c
WHERE c.slice_start >= now64(6, 'UTC') - toIntervalSecond(toInt64({window_s:Float64}))
GROUP BY service, model
HAVING requests > 0 OR paid_picousd > 0
ORDER BY service, model
LIMIT 10000
