-- What controls publish: of a service, a model with what is said of all its service's models, and a name; or of all
SELECT *
FROM signals
WHERE ({service:String} = '' OR service = {service:String})
  AND ({model:String} = '' OR model IN ('', {model:String}))
  AND ({name:String} = '' OR name = {name:String})
ORDER BY service, model, name, scope
LIMIT 10000
