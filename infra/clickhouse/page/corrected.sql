-- One SLO instance without the time that corrections leave out
SELECT corrected_minutes, corrections AS names, compliance_ratio, budget_remaining_ratio
FROM error_budget_corrected
WHERE slo = {slo:String} AND instance = {instance:String}
