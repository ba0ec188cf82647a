-- Burn rates of every SLO instance over the shortest window of which anything is known; what burns over longer windows alone
-- did so before, and is left out
SELECT slo, service, model, variant, window_s, burn_rate
FROM (
    SELECT b.slo AS slo, c.service AS service, c.labels['request_model'] AS model, c.labels['variant'] AS variant,
           b.window_s AS window_s, b.burn_rate AS burn_rate
    FROM burn_rate AS b
    INNER JOIN compliance AS c ON c.slo = b.slo AND c.instance = b.instance
    WHERE b.burn_rate IS NOT NULL
    ORDER BY window_s, burn_rate DESC
    LIMIT 1 BY slo, c.instance
)
WHERE burn_rate > 0
ORDER BY window_s, burn_rate DESC
LIMIT 100000
