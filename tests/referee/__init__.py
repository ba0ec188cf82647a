"""The referee: the scenarios' streams through Prometheus rules, in promtool."""
