-- What was spent and what came of it. Metered cost is what events carry, rated once by whoever sent them or anew by
-- `burnline cost rerate`. Good tokens are those of events that no SLO counts as bad: bad events are kept whole, so that both
-- are known as far as events are kept; where none of a service is kept of an hour, nothing is known, and what another vantage
-- keeps tells nothing of what this one counted. What was paid is the time of ready replicas, by the minutes in which snapshots
-- say so, at the price that they name; who used them bears it by accelerator time, or by tokens where no event tells of that.
-- Amounts are whole and rounded down. Vantages are never added up: an hour of a service counts as its gateway saw it, else as
-- most of a series was seen. Hours are CAST, since ClickHouse prunes nothing by what toDateTime64 gives, and would read all
-- events and snapshots that there are.

CREATE OR REPLACE VIEW config_hours (
    slice_start DateTime64(6, 'UTC') COMMENT 'start of the hour, event time',
    service LowCardinality(String) COMMENT 'service',
    request_model LowCardinality(String) COMMENT 'model asked for',
    priority_class LowCardinality(String) COMMENT 'critical, standard or sheddable; empty: replicas were up, and nobody came',
    tenant_id LowCardinality(String) COMMENT 'tenant; empty: replicas were up, and nobody came',
    variant LowCardinality(String) COMMENT 'hardware and configuration variant',
    config_epoch String COMMENT 'configuration that was in force, as changes name it; empty: none was ever named',
    is_mixed Bool COMMENT 'a change that names a configuration came within the hour: it is not of one configuration',
    requests Int64 COMMENT 'events of every outcome',
    input_tokens Int64 COMMENT 'tokens',
    output_tokens Int64 COMMENT 'tokens',
    bad_requests Nullable(Float64) COMMENT 'events that are bad for some SLO; null: no event of the service is kept of this hour, as its vantage saw them',
    bad_tokens Nullable(Float64) COMMENT 'their output tokens; null: not known',
    cost_picousd Int64 COMMENT 'metered cost in 1e-12 USD',
    gpu_us Int64 COMMENT 'accelerator time that requests used, in microseconds',
    paid_gpu_us Nullable(Int64) COMMENT 'accelerator time of replicas that were up, its share of them; null: no snapshot says',
    paid_picousd Nullable(Int64) COMMENT 'what these cost in 1e-12 USD; null: no snapshot says',
    used_picousd Nullable(Int64) COMMENT 'what the accelerator time that requests used cost of it; null: not known',
    e2e_state AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) COMMENT 'DDSketch of receipt to final token in microseconds',
    ttft_state AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) COMMENT 'DDSketch of receipt to first token in microseconds',
    tpot_state AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) COMMENT 'DDSketch of time per output token in microseconds'
) AS
SELECT
    h.slice_start AS slice_start,
    h.service AS service,
    h.request_model AS request_model,
    h.priority_class AS priority_class,
    h.tenant_id AS tenant_id,
    h.variant AS variant,
    arrayLast(c -> c.1 <= h.slice_start AND c.2 IN ('', h.request_model) AND c.3 IN ('', h.variant), e.epochs).4 AS config_epoch,
    arrayExists(
        c -> c.1 > h.slice_start AND c.1 < h.slice_start + toIntervalHour(1) AND c.2 IN ('', h.request_model) AND c.3 IN ('', h.variant),
        e.epochs
    ) AS is_mixed,
    h.requests AS requests,
    h.input_tokens AS input_tokens,
    h.output_tokens AS output_tokens,
    if(h.all_kept > 0, h.bad_requests, NULL) AS bad_requests,
    if(h.all_kept > 0, h.bad_tokens, NULL) AS bad_tokens,
    h.cost_picousd AS cost_picousd,
    h.gpu_us AS gpu_us,
    if(h.all_paid_gpu_us = 0, NULL, toInt64(intDiv(toInt256(h.all_paid_gpu_us) * h.weight, greatest(h.all_weight, 1)))) AS paid_gpu_us,
    if(h.all_paid_gpu_us = 0, NULL, toInt64(intDiv(toInt256(h.all_paid) * h.weight, greatest(h.all_weight, 1)))) AS paid_picousd,
    if(
        h.all_paid_gpu_us = 0 OR (h.all_gpu_us = 0 AND h.requests > 0),
        NULL,
        toInt64(intDiv(toInt256(h.all_paid) * h.gpu_us, greatest(h.all_paid_gpu_us, 1)))
    ) AS used_picousd,
    h.e2e AS e2e_state,
    h.ttft AS ttft_state,
    h.tpot AS tpot_state
FROM (
    SELECT
        w.*,
        w.kept_by[toString(w.seen_from)] AS all_kept,
        sum(w.paid_gpu_us) OVER here AS all_paid_gpu_us,
        sum(w.paid) OVER here AS all_paid,
        sum(w.gpu_us) OVER here AS all_gpu_us,
        sum(w.input_tokens + w.output_tokens) OVER here AS all_tokens,
        sum(w.requests) OVER here AS all_requests,
        multiIf(all_gpu_us > 0, w.gpu_us, all_tokens > 0, w.input_tokens + w.output_tokens, all_requests > 0, w.requests, 1) AS weight,
        multiIf(all_gpu_us > 0, all_gpu_us, all_tokens > 0, all_tokens, all_requests > 0, all_requests, 1) AS all_weight
    FROM (
        SELECT
            g.*,
            sumMap(map(toString(g.vantage), g.kept)) OVER hour AS kept_by,
            argMax(g.vantage, (g.vantage = 'GATEWAY' AND g.requests > 0, g.requests)) OVER hour AS seen_from
        FROM (
            SELECT
                p.slice_start AS slice_start, p.service AS service, p.request_model AS request_model, p.priority_class AS priority_class,
                p.tenant_id AS tenant_id, p.variant AS variant, p.vantage AS vantage,
                sum(p.requests) AS requests, sum(p.input_tokens) AS input_tokens, sum(p.output_tokens) AS output_tokens,
                sum(p.cost_picousd) AS cost_picousd, sum(p.gpu_us) AS gpu_us, sum(p.paid_gpu_us) AS paid_gpu_us, sum(p.paid) AS paid,
                sum(p.kept) AS kept, sum(p.bad_requests) AS bad_requests, sum(p.bad_tokens) AS bad_tokens,
                quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(p.e2e) AS e2e,
                quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(p.ttft) AS ttft,
                quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(p.tpot) AS tpot
            FROM (
                SELECT
                    s.slice_start AS slice_start, s.service AS service, s.request_model AS request_model,
                    toString(s.priority_class) AS priority_class, s.tenant_id AS tenant_id, toString(s.variant) AS variant,
                    s.vantage AS vantage,
                    toInt64(s.success + s.error + s.timeout + s.cancelled + s.shed + s.rate_limited + s.rejected + s.unknown) AS requests,
                    toInt64(s.input_tokens) AS input_tokens, toInt64(s.output_tokens) AS output_tokens,
                    toInt64(s.cost_picousd) AS cost_picousd, toInt64(s.gpu_us) AS gpu_us, toInt64(0) AS paid_gpu_us, toInt128(0) AS paid,
                    toInt64(0) AS kept, toFloat64(0) AS bad_requests, toFloat64(0) AS bad_tokens,
                    s.e2e_state AS e2e, s.ttft_state AS ttft, s.tpot_state AS tpot
                FROM slices_1h AS s
                UNION ALL
                SELECT
                    CAST(toStartOfHour(r.counted_at), 'DateTime64(6, \'UTC\')'), r.service, r.request_model,
                    multiIf(r.priority > 0, 'critical', r.priority = 0, 'standard', 'sheddable'), r.tenant_id,
                    toString(ifNull(r.variant, '')), r.vantage, 0, 0, 0, 0, 0, 0, 0, 1,
                    if(r.is_bad AND r.sample_ratio > 0, r.sample_weight / r.sample_ratio, 0.) AS its_weight,
                    its_weight * ifNull(r.output_tokens, 0), arrayReduce('quantilesDDState(0.01, 0.5, 0.95, 0.99)', emptyArrayFloat64()), arrayReduce('quantilesDDState(0.01, 0.5, 0.95, 0.99)', emptyArrayFloat64()), arrayReduce('quantilesDDState(0.01, 0.5, 0.95, 0.99)', emptyArrayFloat64())
                FROM event_records AS r
                UNION ALL
                SELECT
                    CAST(toStartOfHour(m.minute), 'DateTime64(6, \'UTC\')'), m.service, m.model, '', '', m.its_variant, '', 0, 0, 0, 0, 0,
                    m.gpus * 60000000, intDiv(toInt128(m.gpus) * m.hour_picousd, 60), 0, 0, 0, arrayReduce('quantilesDDState(0.01, 0.5, 0.95, 0.99)', emptyArrayFloat64()), arrayReduce('quantilesDDState(0.01, 0.5, 0.95, 0.99)', emptyArrayFloat64()), arrayReduce('quantilesDDState(0.01, 0.5, 0.95, 0.99)', emptyArrayFloat64())
                FROM (
                    SELECT
                        toStartOfMinute(r.snapshot_at) AS minute, r.service AS service, r.model AS model,
                        toString(ifNull(r.variant, '')) AS its_variant, r.endpoint_id AS endpoint_id,
                        toInt64(max(r.gpu_count)) AS gpus, toInt64(max(r.gpu_hour_picousd)) AS hour_picousd
                    FROM snapshot_records AS r
                    WHERE r.ready AND r.gpu_count > 0 AND r.gpu_hour_picousd > 0
                    GROUP BY minute, r.service, r.model, its_variant, r.endpoint_id
                ) AS m
            ) AS p
            GROUP BY p.slice_start, p.service, p.request_model, p.priority_class, p.tenant_id, p.variant, p.vantage
        ) AS g
        WINDOW hour AS (PARTITION BY g.slice_start, g.service)
    ) AS w
    WHERE w.vantage IN ('', w.seen_from) AND (w.requests > 0 OR w.paid_gpu_us > 0)
    WINDOW here AS (PARTITION BY w.slice_start, w.service, w.request_model, w.variant)
) AS h
LEFT JOIN (
    SELECT
        c.service AS service,
        arraySort(groupArray((c.at, toString(c.request_model), toString(c.variant), assumeNotNull(c.config_epoch)))) AS epochs
    FROM change_records AS c FINAL
    WHERE c.config_epoch IS NOT NULL
    GROUP BY c.service
) AS e ON e.service = h.service
WHERE h.requests > 0 OR h.all_requests = 0
COMMENT 'What was served and paid for, by the hour and configuration: one row is an hour, a service, a model, a class, a tenant and a variant';

CREATE OR REPLACE VIEW cost (
    slice_start DateTime64(6, 'UTC') COMMENT 'start of the hour, event time',
    service LowCardinality(String) COMMENT 'service',
    request_model LowCardinality(String) COMMENT 'model asked for',
    tenant_id LowCardinality(String) COMMENT 'tenant; empty: replicas were up, and nobody came',
    variant LowCardinality(String) COMMENT 'hardware and configuration variant',
    requests Int64 COMMENT 'events of every outcome: failed, cancelled and repeated ones cost too',
    input_tokens Int64 COMMENT 'tokens',
    output_tokens Int64 COMMENT 'tokens',
    good_tokens Nullable(Float64) COMMENT 'output tokens of events that no SLO counts as bad; null: no event of the service is kept of this hour, as its vantage saw them',
    cost_picousd Int64 COMMENT 'metered cost in 1e-12 USD, as events carry it',
    gpu_us Int64 COMMENT 'accelerator time that requests used, in microseconds',
    paid_picousd Nullable(Int64) COMMENT 'what replicas that were up cost, its share of them, in 1e-12 USD; null: no snapshot says',
    used_picousd Nullable(Int64) COMMENT 'of it, for the time that requests used; null: not known',
    idle_picousd Nullable(Int64) COMMENT 'of it, for the time that nobody used; null: not known',
    usd_per_1k_tokens Nullable(Float64) COMMENT 'metered cost of a thousand output tokens; null: there were none',
    usd_per_1k_good_tokens Nullable(Float64) COMMENT 'metered cost of a thousand good output tokens; null: none, or not known',
    paid_usd_per_1k_tokens Nullable(Float64) COMMENT 'what was paid for a thousand output tokens, idle time included; null: none, or not known'
) AS
SELECT
    h.slice_start AS slice_start,
    h.service AS service,
    h.request_model AS request_model,
    h.tenant_id AS tenant_id,
    h.variant AS variant,
    sum(h.requests) AS requests,
    sum(h.input_tokens) AS input_tokens,
    sum(h.output_tokens) AS output_tokens,
    if(countIf(isNull(h.bad_tokens)) > 0, NULL, greatest(sum(h.output_tokens) - sum(ifNull(h.bad_tokens, 0)), 0)) AS good_tokens,
    sum(h.cost_picousd) AS cost_picousd,
    sum(h.gpu_us) AS gpu_us,
    if(countIf(isNull(h.paid_picousd)) > 0, NULL, sum(ifNull(h.paid_picousd, 0))) AS paid_picousd,
    if(countIf(isNull(h.used_picousd)) > 0, NULL, sum(ifNull(h.used_picousd, 0))) AS used_picousd,
    if(isNull(used_picousd) OR isNull(paid_picousd), NULL, greatest(paid_picousd - used_picousd, 0)) AS idle_picousd,
    if(output_tokens = 0, NULL, cost_picousd / output_tokens / 1e9) AS usd_per_1k_tokens,
    if(ifNull(good_tokens, 0) = 0, NULL, cost_picousd / good_tokens / 1e9) AS usd_per_1k_good_tokens,
    if(output_tokens = 0, NULL, paid_picousd / output_tokens / 1e9) AS paid_usd_per_1k_tokens
FROM config_hours AS h
GROUP BY h.slice_start, h.service, h.request_model, h.tenant_id, h.variant
COMMENT 'Cost by the hour, tenant, model and variant, metered and paid for, idle time apart';
