-- What controls publish
SELECT *
FROM signals
WHERE ({service:String} = '' OR service = {service:String}) AND ({model:String} = '' OR model = {model:String})
ORDER BY service, model, signal
LIMIT 10000
