-- Show me the slow ones: which requests took longest, and where was the time spent?
-- hours = 1: how far back
-- service = : of this service only; empty: of all
-- model = : of this model only; empty: of all
SELECT
    counted_at,
    request_id,
    trace_id,
    service,
    request_model,
    tenant_id,
    endpoint_id,
    outcome,
    round(e2e_us / 1000, 1) AS e2e_ms,
    round(queue_us / 1000, 1) AS queue_ms,
    round(ttft_us / 1000, 1) AS ttft_ms,
    round(decode_us / 1000, 1) AS decode_ms,
    input_tokens,
    output_tokens,
    cold_start
FROM events
WHERE counted_at >= now64(6, 'UTC') - toIntervalHour({hours:UInt32})
    AND ({service:String} = '' OR service = {service:String}) AND ({model:String} = '' OR request_model = {model:String})
ORDER BY e2e_us DESC, counted_at, request_id
LIMIT 20
