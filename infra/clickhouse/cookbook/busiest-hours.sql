-- When is it busy? Requests by hour of the day (UTC), over whole days.
-- days = 7: how far back
-- service = : of this service only; empty: of all
SELECT
    toHour(slice_start) AS hour_utc,
    vantage,
    sum(requests) AS requests,
    bar(requests, 0, max(requests) OVER (), 30) AS chart
FROM sli_1h
WHERE slice_start >= toStartOfDay(now('UTC') - toIntervalDay({days:UInt32})) AND slice_start < toStartOfDay(now('UTC'))
    AND ({service:String} = '' OR service = {service:String})
GROUP BY hour_utc, vantage
ORDER BY vantage, hour_utc
