-- Which SLO instances get events behind the watermark?
SELECT
    l.slo AS slo,
    l.instance AS instance,
    l.late AS late,
    c.eligible AS eligible,
    l.watermark AS watermark
FROM late_events AS l
INNER JOIN compliance AS c ON l.slo = c.slo AND l.instance = c.instance
WHERE l.late > 0
ORDER BY late DESC, slo, instance
LIMIT 50
