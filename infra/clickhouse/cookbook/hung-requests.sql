-- Which replicas hold requests that hang?
-- least_s = 60: without a finished request or a token for so many seconds
SELECT service, model, endpoint_id, engine, running, waiting, oldest_inflight_s, stalled_s, kv_usage, age_s
FROM endpoints
WHERE oldest_inflight_s >= {least_s:Float64} AND ifNull(stalled_s, oldest_inflight_s) >= {least_s:Float64}
ORDER BY oldest_inflight_s DESC, endpoint_id
