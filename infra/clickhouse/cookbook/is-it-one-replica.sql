-- Is it one replica: does one endpoint have more than its share of what is bad?
-- hours = 1: how far back
-- service = : of this service only; empty: of all
SELECT
    service,
    endpoint_id,
    sum(1 / sample_ratio * sample_weight) AS requests,
    sumIf(1 / sample_ratio * sample_weight, is_bad) AS bad,
    round(bad / requests, 4) AS bad_ratio,
    round(requests / nullIf(sum(requests) OVER (PARTITION BY service), 0), 4) AS share_of_requests,
    round(bad / nullIf(sum(bad) OVER (PARTITION BY service), 0), 4) AS share_of_bad
FROM events
WHERE counted_at >= now64(6, 'UTC') - toIntervalHour({hours:UInt32}) AND ({service:String} = '' OR service = {service:String})
    AND endpoint_id IS NOT NULL AND sample_ratio > 0
GROUP BY service, endpoint_id
ORDER BY share_of_bad - share_of_requests DESC NULLS LAST, service, endpoint_id
LIMIT 20
