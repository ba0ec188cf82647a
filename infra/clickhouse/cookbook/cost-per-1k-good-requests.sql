-- What do 1,000 requests that kept an SLO cost? The cost of every event of its service, over its good ones.
-- slo = : name of the SLO
-- hours = 24: how far back
-- vantage = : whose costs: GATEWAY, ENGINE or CLIENT; empty: all, for fleets that have one
WITH
    (SELECT any(service) FROM compliance WHERE slo = {slo:String}) AS its_service,
    (SELECT sum(good) FROM slo_counts_1m WHERE slo = {slo:String} AND slice_start >= now64(6, 'UTC') - toIntervalHour({hours:UInt32})) AS good
SELECT
    its_service AS service,
    good,
    sum(cost_picousd) / 1e12 AS cost_usd,
    if(ifNull(good, 0) = 0, NULL, sum(cost_picousd) / good / 1e9) AS usd_per_1k_good_requests
FROM sli_1m
WHERE slice_start >= now64(6, 'UTC') - toIntervalHour({hours:UInt32}) AND sli_1m.service = its_service AND ({vantage:String} = '' OR vantage = {vantage:String})
