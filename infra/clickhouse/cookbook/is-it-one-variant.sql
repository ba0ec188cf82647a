-- Is the trouble everywhere, or in one region and variant? Each one's share of requests beside its share of failures.
-- hours = 1: how far back
-- service = : of this service only; empty: of all
SELECT
    region,
    variant,
    vantage,
    sum(requests) AS requests,
    sum(error) + sum(timeout) AS failed,
    if(sum(requests) OVER () = 0, NULL, requests / sum(requests) OVER ()) AS share_of_requests,
    if(sum(failed) OVER () = 0, NULL, failed / sum(failed) OVER ()) AS share_of_failures
FROM (
    SELECT region, variant, vantage, requests, error, timeout
    FROM sli_1m
    WHERE slice_start >= now64(6, 'UTC') - toIntervalHour({hours:UInt32}) AND ({service:String} = '' OR service = {service:String})
)
GROUP BY region, variant, vantage
ORDER BY failed DESC, region, variant, vantage
