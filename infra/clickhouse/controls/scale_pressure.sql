-- Burn rates of every SLO instance over its shortest window, as far as anything is known of it
SELECT b.slo AS slo, c.service AS service, c.labels['request_model'] AS model, c.labels['variant'] AS variant,
       b.window_s AS window_s, b.burn_rate AS burn_rate
FROM burn_rate AS b
INNER JOIN compliance AS c ON c.slo = b.slo AND c.instance = b.instance
WHERE b.burn_rate IS NOT NULL AND b.burn_rate > 0
ORDER BY window_s, burn_rate DESC
LIMIT 1 BY slo, c.instance
LIMIT 100000
