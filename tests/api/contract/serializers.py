"""Serializes tus bodies for schemathesis."""

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def offset_bytes(_context, value):
    return value if isinstance(value, bytes) else str(value).encode()
