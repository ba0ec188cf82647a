-- What do a thousand good tokens cost, by model: all that was spent, over the tokens of requests that no SLO counts as bad?
-- hours = 24: how far back
-- service = : of this service only; empty: of all
SELECT
    request_model,
    sum(1 / sample_ratio * sample_weight * ifNull(events.output_tokens, 0)) AS output_tokens,
    sumIf(1 / sample_ratio * sample_weight * ifNull(events.output_tokens, 0), NOT is_bad) AS good_tokens,
    sum(1 / sample_ratio * sample_weight * ifNull(cost_picousd, 0)) / 1e12 AS cost_usd,
    if(good_tokens = 0, NULL, 1000 * cost_usd / good_tokens) AS usd_per_1k_good_tokens
FROM events
WHERE counted_at >= now64(6, 'UTC') - toIntervalHour({hours:UInt32}) AND ({service:String} = '' OR service = {service:String})
    AND sample_ratio > 0
GROUP BY request_model
HAVING cost_usd > 0
ORDER BY usd_per_1k_good_tokens DESC NULLS LAST, request_model
