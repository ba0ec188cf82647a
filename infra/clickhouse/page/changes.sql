-- Changes of what an SLO instance is about
SELECT change_id, at, until, kind, title, knobs, actor
FROM config_changes
WHERE service IN splitByChar(',', {service:String})
  AND (request_model = '' OR empty({request_model:Array(String)}) OR request_model IN {request_model:Array(String)})
  AND (variant = '' OR empty({variant:Array(String)}) OR variant IN {variant:Array(String)})
  AND (region = '' OR empty({region:Array(String)}) OR region IN {region:Array(String)})
  AND at < fromUnixTimestamp({until:Int64}) AND ifNull(until, at) >= fromUnixTimestamp({since:Int64})
ORDER BY at DESC
LIMIT 200
