-- Services of which some SLO has been judged
SELECT DISTINCT arrayJoin(splitByChar(',', service)) AS service FROM compliance ORDER BY service
