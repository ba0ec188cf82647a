-- Is Burnline itself behind: how far, and in which step?
SELECT
    stage,
    topic,
    count() AS partitions,
    round(max(watermark_lag_s), 1) AS watermark_lag_s_max,
    min(stored_at) AS oldest_stored_at,
    sum(records) AS records,
    sum(late) AS late,
    sum(dead_letters) AS dead_letters
FROM pipeline_health
GROUP BY stage, topic
ORDER BY watermark_lag_s_max DESC NULLS LAST, stage, topic
