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
  AND (empty({priority_class:Array(String)})
       OR multiIf(priority < 0, 'sheddable', priority > 0, 'critical', 'standard') IN {priority_class:Array(String)})
  AND (empty({variant:Array(String)}) OR ifNull(variant, '') IN {variant:Array(String)})
  AND (empty({provider:Array(String)}) OR provider IN {provider:Array(String)})
  AND (empty({response_model:Array(String)}) OR ifNull(response_model, '') IN {response_model:Array(String)})
  AND (empty({adapter:Array(String)}) OR ifNull(adapter, '') IN {adapter:Array(String)})
  AND (empty({objective:Array(String)}) OR ifNull(objective, '') IN {objective:Array(String)})
  AND (empty({endpoint_id:Array(String)}) OR ifNull(endpoint_id, '') IN {endpoint_id:Array(String)})
  AND (empty({engine:Array(String)}) OR ifNull(engine, '') IN {engine:Array(String)})
  AND (empty({accelerator:Array(String)}) OR ifNull(accelerator, '') IN {accelerator:Array(String)})
  AND (empty({vantage:Array(String)}) OR vantage IN {vantage:Array(String)})
  AND (empty({stream:Array(String)}) OR toString(stream) IN {stream:Array(String)})
  AND (empty({cold_start:Array(String)}) OR toString(cold_start) IN {cold_start:Array(String)})
  AND (empty({final_attempt:Array(String)}) OR toString(final_attempt) IN {final_attempt:Array(String)})
ORDER BY is_bad DESC, value_us DESC NULLS LAST, at
LIMIT 100
