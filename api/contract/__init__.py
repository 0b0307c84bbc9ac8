"""The HTTP contract: the table of calls, values by subject, problems, media types, the OpenAPI document."""
