-- Which configurations of one service nobody beats, of the hours that are known to their end (views/cost.sql has them all):
-- what an hour that goes on will come to, nobody knows, and it would count as much as a whole one.
WITH points AS (
    SELECT
        h.service AS service, h.request_model AS request_model, h.priority_class AS priority_class, h.variant AS variant,
        h.config_epoch AS config_epoch, uniqExact(h.slice_start) AS hours, sum(h.requests) AS requests,
        requests >= 1000 AND hours >= 3 AS is_enough,
        if(countIf(isNull(h.bad_requests)) > 0 OR requests = 0, NULL, 1 - sum(ifNull(h.bad_requests, 0)) / requests) AS compliance_ratio,
        countIf(h.paid_picousd IS NOT NULL) > 0 AS is_paid_known,
        sum(toInt128(h.cost_picousd)) AS metered, sum(toInt128(ifNull(h.paid_picousd, 0))) AS paid,
        sum(if(isNull(h.paid_gpu_us), h.gpu_us, assumeNotNull(h.paid_gpu_us))) AS gpu_us, sum(h.output_tokens) AS output_tokens,
        sum(ifNull(h.paid_gpu_us, 0)) AS paid_gpu_us, sumIf(h.output_tokens, h.paid_picousd IS NOT NULL) AS paid_tokens,
        quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(h.e2e_state)[3] AS e2e, quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(h.ttft_state)[3] AS ttft,
        quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(h.tpot_state)[3] AS tpot, max(h.slice_start) AS last_hour
    FROM config_hours AS h
    WHERE h.service = {part:String} AND h.slice_start >= now64(6, 'UTC') - toIntervalDay(14) AND NOT h.is_mixed AND h.requests > 0
        AND h.slice_start <= ifNull((SELECT known_at FROM known_until), now64(6, 'UTC')) - toIntervalHour(1)
    GROUP BY h.service, h.request_model, h.priority_class, h.variant, h.config_epoch
), measured AS (
    SELECT
        p.*,
        min(p.is_paid_known) OVER rivals AS is_all_paid,
        if(is_all_paid OR (max(p.is_paid_known) OVER rivals AND min(p.metered) OVER rivals = 0), 'paid', 'metered') AS basis,
        if(basis = 'paid', p.paid, p.metered) AS spent,
        if(basis = 'paid', p.paid_tokens, p.output_tokens) AS tokens,
        if(tokens = 0 OR spent = 0, NULL, spent / tokens / 1e9) AS cost,
        if(isNaN(p.e2e), NULL, p.e2e) AS p99,
        if(basis = 'paid', p.paid_gpu_us, p.gpu_us) AS its_gpu_us,
        if(its_gpu_us = 0, NULL, 1e6 * tokens / its_gpu_us) AS throughput,
        p.last_hour >= max(p.last_hour) OVER rivals - toIntervalHour(2) AS is_running
    FROM points AS p
    WINDOW rivals AS (PARTITION BY p.service, p.request_model, p.priority_class)
), rivals AS (
    SELECT
        m.*,
        groupArrayIf(
            (assumeNotNull(m.cost), assumeNotNull(m.p99), ifNull(m.throughput, 0.)),
            m.is_enough AND m.cost IS NOT NULL AND m.p99 IS NOT NULL AND ifNull(m.compliance_ratio, 1) >= 0.99
        ) OVER (PARTITION BY m.service, m.request_model, m.priority_class) AS figures
    FROM measured AS m
), hardware AS (
    SELECT r.service AS service, r.request_model AS request_model, ifNull(r.variant, '') AS its_variant, arraySort(groupUniqArray(toString(assumeNotNull(r.accelerator)))) AS accelerators
    FROM event_records AS r
    WHERE r.service = {part:String} AND r.accelerator IS NOT NULL AND r.counted_at >= now64(6, 'UTC') - toIntervalDay(14)
    GROUP BY r.service, r.request_model, its_variant
)
SELECT
    m.service AS service,
    m.request_model AS request_model,
    m.priority_class AS priority_class,
    m.variant AS variant,
    m.config_epoch AS config_epoch,
    w.accelerators AS accelerators,
    m.hours AS hours,
    m.requests AS requests,
    m.is_enough AS is_enough,
    m.compliance_ratio AS compliance_ratio,
    m.basis AS basis,
    m.cost AS usd_per_1k_tokens,
    m.p99 AS e2e_p99_us,
    if(isNaN(m.ttft), NULL, m.ttft) AS ttft_p99_us,
    if(isNaN(m.tpot), NULL, m.tpot) AS tpot_p99_us,
    m.throughput AS tokens_per_gpu_s,
    if(m.gpu_us = 0, NULL, 1e6 * m.compliance_ratio * m.requests / m.gpu_us) AS good_requests_per_gpu_s,
    m.last_hour AS last_hour,
    m.is_running AS is_running,
    if(
        NOT m.is_enough OR m.cost IS NULL OR m.p99 IS NULL,
        NULL,
        ifNull(m.compliance_ratio, 1) >= 0.99 AND NOT arrayExists(
            f -> f.1 <= assumeNotNull(m.cost) AND f.2 <= assumeNotNull(m.p99) AND f.3 >= ifNull(m.throughput, 0.)
                AND (f.1 < assumeNotNull(m.cost) OR f.2 < assumeNotNull(m.p99) OR f.3 > ifNull(m.throughput, 0.)),
            m.figures
        )
    ) AS on_frontier
FROM rivals AS m
LEFT JOIN hardware AS w ON w.service = m.service AND w.request_model = m.request_model AND w.its_variant = m.variant
