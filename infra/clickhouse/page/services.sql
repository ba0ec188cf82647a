-- Services of which some SLO has been judged
SELECT DISTINCT service FROM compliance ORDER BY service
