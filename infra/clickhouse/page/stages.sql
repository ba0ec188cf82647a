-- How the pipeline is
SELECT stage, topic, partition, worker, next_offset, event_time_max, watermark_lag_s, flushed_at, stored_at, stored_lag_s,
       idle_us / 1e6 AS idle_s, records, events, bytes, dead_letters, clamped, late, duplicates, series_overflow,
       instances_refused, oldest_in_flight_s, open_transaction_s, backlog_records, is_lagging, reason
FROM pipeline_health
ORDER BY stage, topic, partition, worker
LIMIT 5000
