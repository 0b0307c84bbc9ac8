"""python -m faults.relay SOCKET PORT: a Unix socket, which no network namespace hides, passed on to a port in this."""

import asyncio
import sys


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while content := await source.read(1 << 16):
        sink.write(content)
        await sink.drain()
    sink.close()


async def _joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    await asyncio.gather(_copy(reader, back), _copy(there, writer), return_exceptions=True)


async def main() -> None:
    server = await asyncio.start_unix_server(_joined, sys.argv[1])
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
