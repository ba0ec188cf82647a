-- Requests that are kept whole: bad ones, and a sample of all others, the slowest first
SELECT counted_at AS at, trace_id, request_id, $column AS value_us, outcome, http_status, error_type, tenant_id, request_model,
       region, endpoint_id, variant, output_tokens, is_bad
FROM events
WHERE service = {service:String}
  AND counted_at >= fromUnixTimestamp({since:Int64}) AND counted_at < fromUnixTimestamp({until:Int64})
  AND (empty({request_model:Array(String)}) OR request_model IN {request_model:Array(String)})
  AND (empty({tenant_id:Array(String)}) OR tenant_id IN {tenant_id:Array(String)})
  AND (empty({region:Array(String)}) OR ifNull(region, '') IN {region:Array(String)})
  AND (empty({operation:Array(String)}) OR operation IN {operation:Array(String)})
  AND (empty({variant:Array(String)}) OR ifNull(variant, '') IN {variant:Array(String)})
  AND (empty({vantage:Array(String)}) OR vantage IN {vantage:Array(String)})
ORDER BY is_bad DESC, value_us DESC NULLS LAST, at
LIMIT 100
