-- One SLO instance without the time that corrections leave out
SELECT c.corrected_minutes AS corrected_minutes, c.corrections AS names, c.compliance_ratio AS compliance_ratio,
       b.budget_remaining_ratio AS budget_remaining_ratio
FROM compliance_corrected AS c
INNER JOIN error_budget_corrected AS b ON c.slo = b.slo AND c.instance = b.instance
WHERE c.slo = {slo:String} AND c.instance = {instance:String} AND b.slo = {slo:String} AND b.instance = {instance:String}
