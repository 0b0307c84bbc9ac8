"""The HTTP contract: values by subject, problems, media types, the OpenAPI document."""
