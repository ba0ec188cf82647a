-- How fresh judgements are: when, and up to which event time, anything was judged; which steps say that they are behind
SELECT now64(6, 'UTC') AS asked_at, maxOrNull(c.judged_at) AS judged_at, maxOrNull(c.window_end) AS event_time,
       ifNull((
           SELECT arrayStringConcat(arraySort(groupArray(concat(substring(stage, 8), ' of ', worker, ': ', reason))), '; ')
           FROM pipeline_health
           WHERE stage IN ('worker ingest', 'worker judge', 'worker store') AND is_lagging
             AND flushed_at > now64(6, 'UTC') - INTERVAL 60 SECOND
       ), '') AS lagging
FROM compliance AS c
