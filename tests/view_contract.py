"""The views of the contract, and the columns that each has at least."""

from pipeline.events import reader_fields
from pipeline.series import BASE_LABELS

OUTCOMES = ("success", "error", "timeout", "cancelled", "shed", "rate_limited", "rejected", "unknown")
SLI = {
    "slice_start", *BASE_LABELS, "requests", *OUTCOMES, "input_tokens", "output_tokens", "cost_picousd",
    *(f"{sketch}_{what}" for sketch in ("e2e", "ttft", "tpot") for what in ("state", "p50_us", "p95_us",
    "p99_us")),
}  # fmt: skip
COUNTS = {"slo", "revision", "instance", "slice_start", "good", "bad", "excluded"}
SIGNAL = {
    "service", "model", "name", "scope", "state", "value", "unit", "reason", "confidence", "samples", "inputs",
    "details", "evaluated_at", "watermark", "window_s", "expires_at", "appended_at",
}  # fmt: skip
CONTRACT: dict[str, set[str]] = {
    "sli": SLI, "sli_1m": SLI, "sli_1h": SLI, "slo_counts": COUNTS, "slo_counts_1m": COUNTS,
    "slo_counts_1h": COUNTS, "slo_count_rows_1m": COUNTS, "slo_count_rows_1h": COUNTS,
    "compliance": {"slo", "revision", "instance", "target", "window_start", "window_end", "good", "bad",
    "excluded",
                   "eligible", "compliance_ratio", "coverage_ratio", "counts"},
    "error_budget": {"slo", "instance", "budget_events", "bad", "budget_remaining_ratio", "budget_minutes",
                     "time_to_exhaustion_s", "exhaustion_burn_rate", "exhaustion_window_s", "sla_target",
                     "sla_budget_remaining_ratio", "budget_alert_ratio", "sla_alert_ratio"},
    "burn_rate": {"slo", "instance", "window_s", "good", "bad", "eligible", "coverage_ratio", "burn_rate"},
    "alerts": {"dedup_key", "sequence", "kind", "slo", "event", "severity", "long_burn_rate", "evaluated_at",
    "exemplar_trace_ids", "reason"},
    "alert_log": {"slo", "instance", "kind", "fired_at", "resolved_at", "severity", "peak_burn_rate",
    "current_severity", "detection_delay_ms", "exemplar_trace_ids", "acknowledged_at", "acknowledged_by", "notes"},
    "dead_letters": {"reason", "detail", "topic", "partition", "offset", "schema_id", "key", "value"},
    "late_events": {"slo", "instance", "late"},
    "pipeline_health": {"stage", "topic", "partition", "next_offset", "watermark_lag_s", "late", "clamped",
                        "dead_letters", "series_overflow"},
    "corrections": {"correction", "version", "is_in_force", "state", "reason", "who", "starts", "ends"},
    "correction_ranges": {"correction", "range_start", "range_end"},
    "alert_corrections": {"slo", "dedup_key", "sequence", "correction"},
    "silences": {"silence", "is_in_force", "starts_at", "ends_at", "reason", "who", "where_labels", "where_values",
                 "where_none_of", "where_prefixes"},
    "events": {*reader_fields(), "counted_at", "is_bad", "sample_ratio", "appended_at", "source_partition",
    "source_offset"},
    "known_until": {"known_at", "age_s"},
    "alert_notes": {"slo", "dedup_key", "fired_at", "written_at", "what", "who", "text"},
    "config_changes": {"service", "change_id", "at", "until", "kind", "title", "request_model", "variant", "region",
    "before", "after", "knobs", "actor", "url", "config_epoch"},
    "config_hours": {"slice_start", "service", "request_model", "priority_class", "tenant_id", "variant",
    "config_epoch", "is_mixed", "requests", "output_tokens", "bad_requests", "bad_tokens", "cost_picousd", "gpu_us",
    "paid_picousd"},
    "cost": {"slice_start", "service", "request_model", "tenant_id", "variant", "requests", "output_tokens",
    "good_tokens", "cost_picousd", "paid_picousd", "used_picousd", "idle_picousd", "usd_per_1k_tokens",
    "usd_per_1k_good_tokens"},
    "config_frontier": {"service", "request_model", "priority_class", "variant", "config_epoch", "accelerators",
    "hours", "requests", "compliance_ratio", "usd_per_1k_tokens", "e2e_p99_us", "tokens_per_gpu_s", "is_running",
    "on_frontier"},
    "signals": {*SIGNAL, "age_s", "is_expired"},
    "signal_log": SIGNAL,
    "snapshots": {"snapshot_at", "endpoint_id", "service", "model", "engine", "variant", "ready", "running", "waiting",
    "kv_usage", "oldest_inflight_ms", "gpu_count", "gpu_hour_picousd", "finished", "error"},
    "capacity": {"service", "model", "variant", "state", "capacity", "capacity_likely", "broken_at", "limited_by",
    "unmet", "peak", "headroom_ratio", "in_flight_now", "sustained_ratio", "burst_1_5x_s", "burst_2x_s", "burst_3x_s",
    "rps_per_endpoint", "residence_s", "confidence", "samples", "evaluated_at", "age_s", "is_expired"},
    "class_compliance": {"service", "model", "class", "slo", "window_good", "window_bad", "compliance_ratio",
    "with_shed_ratio", "shed_ratio", "shed_share", "load", "is_expired"},
    "quota_usage": {"quota", "service", "tenant_id", "metric", "per", "period_start", "period_end", "used", "limit",
    "remaining", "used_ratio", "state", "exhausted_at", "is_expired"},
    "endpoints": {"endpoint_id", "service", "model", "engine", "ready", "error", "running", "waiting", "kv_usage",
    "oldest_inflight_s", "stalled_s", "gpu_count", "gpu_hour_picousd", "started_at", "answered_at", "snapshot_at",
    "age_s"},
    "compliance_corrected": {"slo", "revision", "instance", "counts", "window_start", "window_end", "good", "bad",
    "excluded", "compliance_ratio", "uncorrected_compliance_ratio", "corrected_minutes", "corrections"},
    "error_budget_corrected": {"slo", "instance", "budget_events", "bad", "budget_remaining_ratio",
    "uncorrected_budget_remaining_ratio", "budget_minutes", "corrections"},
}  # fmt: skip
#: these take parameters
KEDA = {"keda_throughput", "keda_concurrency", "keda_queue_delay", "keda_burn_rate", "keda_desired_replicas"}
