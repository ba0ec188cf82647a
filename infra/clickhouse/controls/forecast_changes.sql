-- What was changed or announced, as far as loads may depend on it
SELECT service, kind, if(after['campaign'] != '', after['campaign'], title) AS name, request_model AS model,
       toUnixTimestamp64Micro(at) AS at_us, toUnixTimestamp64Micro(until) AS until_us,
       toUnixTimestamp64Micro(appended_at) AS told_us
FROM config_changes
WHERE (until IS NOT NULL OR kind IN ('DEPLOY', 'ROLLBACK', 'KNOB', 'PRICE'))
  AND ifNull(until, at) >= fromUnixTimestamp({start_s:Int64})
ORDER BY at, service, change_id
