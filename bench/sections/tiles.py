"""Tiles for viewers: ours, with authentication, beside a naive server, large_image, and nginx on files."""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bench import peers
from bench.page.tables import Section, Target
from bench.rig.http_client import Walk, walk
from bench.rig.service import OwnService, cpu_of, end, free_port, resident_mib
from bench.rig.slides import write_slide
from core.pixels.native_tiles import native_levels

ABOUT = """A JPEG-tiled slide with levels four times apart; a viewer's walk, each tile requested once, over 8 persistent
connections, file pages in memory. CPU is that of the server and its children; the client is Python and uses the other
core."""
SHARES = (0.8, 0.17, 0.03)  # of views, by level
Tile = tuple[int, int, int]  # level, column, row


def viewer_walk(sizes: list[tuple[int, int]], count: int) -> list[Tile]:
    """Tiles of views of 6×4 tiles over the levels, each once. `sizes`: whole tiles (columns, rows) of each level."""
    rng, tiles = np.random.default_rng(0), dict[Tile, None]()
    while len(tiles) < count:
        level = int(rng.choice(len(SHARES), p=SHARES))
        cols, rows = sizes[level]
        left, top = int(rng.integers(0, max(1, cols - 6))), int(rng.integers(0, max(1, rows - 4)))
        for row in range(top, min(rows, top + 4)):
            for col in range(left, min(cols, left + 6)):
                tiles[(level, col, row)] = None
    return list(tiles)[:count]


def measure(quick: bool) -> Section:
    """Measures each server by itself, on the same walk."""
    section = Section("Tiles", ABOUT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write_slide(folder / "slide.tiff", *((16384, 12288) if quick else (40_000, 30_000)))
        with path.open("rb") as file:
            levels = native_levels(file)
        sizes = [(level.width // level.tile_width, level.height // level.tile_height) for level in levels]
        tiles = viewer_walk(sizes, 500 if quick else 2000)
        deepest = int(np.ceil(np.log2(max(levels[0].width, levels[0].height))))
        ours = _ours(section, folder, path, tiles, quick)
        zoomed = [f"/{deepest - 2 * level}/{col}_{row}.jpeg" for level, col, row in tiles]
        deep = _peer(section, "DeepZoomGenerator behind FastAPI", [sys.executable, "deepzoom_server.py"], path, zoomed)
        top = int(np.ceil(np.log2(max(levels[0].columns, levels[0].rows))))
        counted = [f"/{top - 2 * level}/{col}_{row}.jpeg" for level, col, row in tiles]
        large = _peer(section, "large_image", [peers.python(), "large_image_server.py"], path, counted)
        zoomify = "/tileserver/layer/slide/default/zoomify/TileGroup0"
        named = [f"{zoomify}/{top - 2 * level}-{col}-{row}@1x.jpg" for level, col, row in tiles[:500]]
        start = [peers.python("tiatoolbox"), "tiatoolbox_server.py"]  # its imports alone take a quick run's quarter
        tia = None if quick else _peer(section, "TIAToolbox", start, path, named)
        numbered = [(len(levels) - 1 - level, row * levels[level].columns + col) for level, col, row in tiles]
        iip = _iipsrv(section, folder, path, numbered)
        fixed = _nginx(section, folder, path, tiles)
    section.targets += [
        Target("tiles: CPU of DeepZoomGenerator over ours", 20, deep and deep / ours),
        Target("tiles: CPU of large_image over ours", 10, large and large / ours, absent="it is not here"),
        Target(
            "tiles: CPU of large_image's passthrough over ours", 3, None, absent="it decodes this slide's tiles itself"
        ),
        Target(
            "tiles: our CPU over nginx's, of files",
            7,
            fixed and ours / fixed,
            True,
            absent="nginx is not here",
        ),
        Target("tiles: CPU of iipsrv over ours", 8, iip and iip / ours, absent="it is not here"),
        Target("tiles: CPU of TIAToolbox over ours", 75, tia and tia / ours, absent="it is not here"),
    ]
    return section


def _report(section: Section, name: str, cpu_s: float, walked: Walk, note: str = "") -> float:
    """Adds a row; returns CPU milliseconds a tile."""
    cost = 1000 * cpu_s / len(walked.taken_ms)
    p50, p99 = walked.percentile_ms(50), walked.percentile_ms(99)
    figures = f"{walked.per_second:,.0f} tiles/s; p50 {p50:.2f} ms, p99 {p99:.2f} ms"
    return section.add(name, cost, "CPU ms a tile", f"{figures}; {note}" if note else figures)


def _ours(section: Section, folder: Path, path: Path, tiles: list[Tile], quick: bool) -> float:
    with OwnService(folder / "data") as service:
        api = service.start_api()
        service.start("worker")
        client = service.client()
        slide = client.wait_for_slide(client.upload(path, {}))
        end(service.processes[1:])
        base, key = f"/api/v1/slides/{slide['id']}/tiles", f"Authorization: Bearer {service.key}\r\n"
        paths = [f"{base}/{level}/{col}_{row}.jpeg" for level, col, row in tiles]
        walk(service.port, paths[:200], key)
        rounds, before, began = (24 if quick else 20), resident_mib(api), cpu_of(api)
        walks = [walk(service.port, paths, key) for _ in range(rounds)]
        cpu_s = (cpu_of(api) - began) / rounds
        cost = _report(section, "ours, authentication included", cpu_s, min(walks, key=lambda one: one.seconds))
        grown = resident_mib(api) - before
        section.add(
            "ours: memory grown over all of these tiles",
            grown,
            "MiB",
            f"{rounds * len(paths):,} tiles, {before:.0f} MiB before",
        )
        _edges(section, service.port, api, base, key, path)
    return cost


def _edges(section: Section, port: int, api: int, base: str, key: str, path: Path) -> None:
    """Tiles that the slide's edge cuts off: decoded, cropped and encoded once, then cached."""
    with path.open("rb") as file:
        level = native_levels(file)[0]
    paths = [f"{base}/0/{level.columns - 1}_{row}.jpeg" for row in range(level.rows)]
    walk(port, paths[:1], key)
    began = cpu_of(api)
    walked = walk(port, paths[1:], key)
    _report(section, "ours, tiles cut off by the edge, made", cpu_of(api) - began, walked)


def _peer(section: Section, name: str, start: list[str], path: Path, paths: list[str]) -> float | None:
    port = free_port()
    if not Path(start[0]).exists():
        section.missing.append(f"{name} (make bench-peers was not run)")
        return None
    try:
        with peers.running([*start, str(path), str(port)], port) as pid:
            walk(port, paths[:50])
            began = cpu_of(pid)
            walked = walk(port, paths)
            return _report(section, name, cpu_of(pid) - began, walked)
    except (TimeoutError, RuntimeError, OSError) as error:
        section.missing.append(f"{name} ({error})")
        return None


def _iipsrv(section: Section, folder: Path, path: Path, tiles: list[tuple[int, int]]) -> float | None:
    """The C++ server behind nginx, as its manual describes it: it decodes a tile and encodes it again."""
    port, behind, home = free_port(), free_port(), folder / "iip"
    home.mkdir()
    command = peers.iipsrv_or_none(behind)
    passed = "fastcgi_param QUERY_STRING $query_string; fastcgi_param REQUEST_METHOD $request_method;"
    front = peers.nginx_or_none(
        home, f"server {{ listen 127.0.0.1:{port}; location / {{ fastcgi_pass 127.0.0.1:{behind}; {passed} }} }}"
    )
    if command is None or front is None:
        section.missing.append("iipsrv (packages iipimage-server and nginx-light)")
        return None
    with peers.running(command, behind) as server, peers.running(front, port) as nginx:
        paths = [f"/?FIF={path}&JTL={level},{number}" for level, number in tiles]
        walk(port, paths[:50])
        began = cpu_of(server) + cpu_of(nginx)
        walked = walk(port, paths)
        return _report(section, "iipsrv behind nginx", cpu_of(server) + cpu_of(nginx) - began, walked)


def _nginx(section: Section, folder: Path, path: Path, tiles: list[Tile]) -> float | None:
    """The limit: a server in C that sends files which were extracted before."""
    root, port = folder / "tiles", free_port()
    server = f"server {{ listen 127.0.0.1:{port}; root {root}; }}"
    command = peers.nginx_or_none(folder, f"sendfile on; open_file_cache max=10000; {server}")
    if command is None:
        section.missing.append("nginx")
        return None
    _extract(path, tiles, root)
    with peers.running(command, port) as pid:
        paths = [f"/{level}/{col}_{row}.jpeg" for level, col, row in tiles]
        walk(port, paths)
        began = cpu_of(pid)
        walks = [walk(port, paths) for _ in range(60)]
        cpu_s = (cpu_of(pid) - began) / len(walks)
        return _report(section, "nginx, tiles extracted beforehand", cpu_s, min(walks, key=lambda one: one.seconds))


def _extract(path: Path, tiles: list[Tile], root: Path) -> None:
    with path.open("rb") as file:
        levels = native_levels(file)
        for number, col, row in tiles:
            target = root / str(number) / f"{col}_{row}.jpeg"
            target.parent.mkdir(parents=True, exist_ok=True)
            span = levels[number].span(col, row)
            assert span is not None
            file.seek(span[0])
            target.write_bytes(levels[number].splice(file.read(span[1])) or b"")
