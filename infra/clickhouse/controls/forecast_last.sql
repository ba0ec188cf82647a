-- Forecasts that were published last, with all that it takes to forecast by the same models again
SELECT service, model, name, scope, state, value, unit, reason, confidence, samples, inputs, details, window_s,
       toUnixTimestamp64Micro(evaluated_at) AS evaluated_at, toUnixTimestamp64Micro(watermark) AS watermark,
       toUnixTimestamp64Micro(expires_at) AS expires_at
FROM signals
WHERE name = 'forecast' AND value IS NOT NULL AND NOT startsWith(scope, 'budget:')
