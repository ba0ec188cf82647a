-- Why were records put aside, how many, and since when?
-- hours = 24: how far back
SELECT
    reason,
    topic,
    count() AS records,
    min(dead_at) AS first_at,
    max(dead_at) AS last_at,
    argMax(detail, dead_at) AS newest_detail
FROM dead_letters
WHERE dead_at >= now64(6, 'UTC') - toIntervalHour({hours:UInt32})
GROUP BY reason, topic
ORDER BY records DESC, reason, topic
