"""The page, the API that it uses, and who may ask."""
