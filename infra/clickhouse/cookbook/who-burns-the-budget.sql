-- Who burns the budget of an SLO: which of its instances had the bad events?
-- slo = : name of the SLO
-- hours = 24: how far back
SELECT
    instance,
    sum(good) AS good,
    sum(bad) AS bad,
    if(good + bad = 0, NULL, bad / (good + bad)) AS bad_ratio,
    if(sum(bad) OVER () = 0, NULL, bad / sum(bad) OVER ()) AS share_of_bad
FROM (
    SELECT instance, good, bad
    FROM slo_counts_1m
    WHERE slo = {slo:String} AND slice_start >= now64(6, 'UTC') - toIntervalHour({hours:UInt32})
)
GROUP BY instance
ORDER BY bad DESC, instance
