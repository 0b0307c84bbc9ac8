"""large_image behind a bare ASGI application and a thread pool. large_image_server.py SLIDE PORT"""

import asyncio
import sys

import large_image
import uvicorn

source = large_image.open(sys.argv[1])


async def app(scope, receive, send):
    """/level/col_row.jpeg, level counted as large_image does."""
    if scope["type"] != "http":
        return
    level, place = scope["path"].strip("/").removesuffix(".jpeg").split("/")
    col, row = map(int, place.split("_"))
    content = bytes(await asyncio.to_thread(source.getTile, col, row, int(level)))
    head = [(b"content-type", b"image/jpeg"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": content})


uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
