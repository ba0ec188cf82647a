-- What the control of scaling says of every model and variant, for scalers that are told of it
SELECT service, model, scope, state, value, reason, evaluated_at, expires_at, is_expired
FROM signals
WHERE name = 'scale'
ORDER BY service, model, scope
LIMIT 100000
