"""The service behind a real nginx, under a path prefix that the proxy strips or passes on."""

import os
import re
import shutil
import socket
import subprocess
from urllib.parse import urljoin

import httpx2 as httpx
import pytest
from playwright.sync_api import expect
from servers import KEY, PATCH, PATIENCE, Service, free_port, until
from slides import tissue, write_pyramid

from cli.client import TUS, Client

pytestmark = pytest.mark.services
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
PREFIX = "/lab/slides-1"
LOCATIONS = {
    "stripped": "location PREFIX/ { proxy_pass http://127.0.0.1:SERVICE/; }",
    "passed on": "location PREFIX/ { proxy_pass http://127.0.0.1:SERVICE; }",
    # without the slash, nginx asks for //api: a mistake that many configurations have
    "doubled": "location PREFIX { proxy_pass http://127.0.0.1:SERVICE/; }",
}
CONFIGURATION = """
daemon off; pid FOLDER/pid; error_log FOLDER/error.log; USER worker_processes 1;
events {}
http {
  access_log off; client_max_body_size 0;
  client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy; fastcgi_temp_path FOLDER/fastcgi;
  uwsgi_temp_path FOLDER/uwsgi; scgi_temp_path FOLDER/scgi;
  proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_request_buffering off; proxy_buffering off;
  proxy_set_header X-Forwarded-Prefix /elsewhere;
  SERVERS
}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    running = Service(tmp_path_factory.mktemp("proxy") / "data", {"QUARTERTURN_ROOT_PATH": PREFIX})
    running.start_all()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def proxies(service, tmp_path_factory):
    """The address of the service by each variant, without a slash at its end."""
    if NGINX is None:
        pytest.skip("nginx is not installed (Debian, Ubuntu: apt-get install nginx)")
    folder, ports = tmp_path_factory.mktemp("nginx"), {name: free_port() for name in LOCATIONS}
    servers = "\n".join(f"server {{ listen 127.0.0.1:{ports[name]}; {LOCATIONS[name]} }}" for name in LOCATIONS)
    values = {
        "SERVERS": servers, "FOLDER": str(folder), "PREFIX": PREFIX, "SERVICE": str(service.port),
        "USER": "user root;" if os.geteuid() == 0 else "",
    }  # fmt: skip
    content = CONFIGURATION
    for name, value in values.items():
        content = content.replace(name, value)
    (folder / "nginx.conf").write_text(content)
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    addresses = {name: f"http://127.0.0.1:{port}{PREFIX}" for name, port in ports.items()}
    until(lambda: all(httpx.get(f"{address}/healthz").status_code == 200 for address in addresses.values()))
    yield addresses
    process.terminate()
    process.wait()


@pytest.fixture(params=LOCATIONS)
def address(request, proxies):
    return proxies[request.param]


@pytest.fixture(scope="module")
def slide_id(proxies, tmp_path_factory):
    """A slide that came through the proxy."""
    client = Client(proxies["stripped"], KEY)
    path = write_pyramid(tmp_path_factory.mktemp("slide") / "slide.tiff", tissue(300, 400), 0.5)
    return client.wait_for_slide(client.upload(path, {}))["id"]


def send(address, method, path, **more):
    """A request whose answer is not followed."""
    headers = {"Authorization": f"Bearer {KEY}", **more.pop("headers", {})}
    return httpx.request(method, urljoin(address, path), headers=headers, timeout=PATIENCE, **more)


def test_every_address_of_the_pages_is_there(address, slide_id):
    for page in ("/", "/people", "/docs", f"/slides/{slide_id}"):
        answer = httpx.get(address + page)
        targets = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
        assert len(targets) >= 3
        for target in targets:
            assert httpx.get(urljoin(str(answer.url), target)).status_code == 200, (page, target)


def test_the_bare_prefix_leads_to_the_first_page(address):
    assert httpx.get(address, follow_redirects=True).text == httpx.get(f"{address}/").text
    answer = httpx.get(f"{address}/people/")
    assert urljoin(str(answer.url), answer.headers["location"]) == f"{address}/people"


def test_an_upload_goes_on_at_its_location(address):
    content = b"no slide, but bytes"
    created = send(address, "POST", f"{PREFIX}/api/v1/uploads", headers={**TUS, "Upload-Length": str(len(content))})
    location = created.headers["location"]
    assert location.startswith(f"{PREFIX}/api/v1/uploads/")
    override = {**PATCH, "X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0"}
    first = send(address, "POST", location, headers=override, content=content[:5])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "5")
    offset = send(address, "POST", location, headers={**TUS, "X-HTTP-Method-Override": "HEAD"})
    assert (offset.status_code, offset.headers["upload-offset"]) == (200, "5")
    last = send(address, "PATCH", location, headers={**PATCH, "Upload-Offset": "5"}, content=content[5:])
    slide = send(address, "GET", last.headers["location-slide"])
    assert slide.json()["size_bytes"] == len(content)
    other = send(address, "POST", f"{PREFIX}/api/v1/uploads", headers={**TUS, "Upload-Length": "9"})
    ended = send(address, "POST", other.headers["location"], headers={**TUS, "X-HTTP-Method-Override": "DELETE"})
    assert ended.status_code == 204
    assert send(address, "HEAD", other.headers["location"], headers=TUS).status_code == 410


def test_head_and_conditions_pass_the_proxy(address, slide_id):
    tiles = send(address, "GET", f"{PREFIX}/api/v1/slides/{slide_id}/tiles").json()
    tile = tiles["tile_url"].format(level=0, col=0, row=0)
    assert tile.startswith(PREFIX)
    within = f"{PREFIX}/api/v1/slides/{slide_id}"
    for path in (tile, within, f"{within}.dzi", f"{within}/thumbnail", f"{within}/tissue", f"{PREFIX}/api/v1/models",
                 f"{PREFIX}/slides/{slide_id}", f"{PREFIX}/static/viewer/main.js"):  # fmt: skip
        get, head = send(address, "GET", path), send(address, "HEAD", path)
        assert (get.status_code, head.status_code, head.content) == (200, 200, b""), path
        for name in ("content-type", "content-length", "etag"):  # seen_at keeps its length
            assert head.headers[name] == get.headers[name], (path, name)
        for condition in (get.headers["etag"], f'"x", {get.headers["etag"]}', "*"):
            again = send(address, "GET", path, headers={"If-None-Match": condition})
            assert (again.status_code, again.content) == (304, b""), (path, condition)
            assert again.headers["etag"] == get.headers["etag"]
        assert "public" not in get.headers.get("cache-control", "")
        assert path.startswith((f"{PREFIX}/static", f"{PREFIX}/slides")) or "private" in get.headers["cache-control"]
    assert send(address, "HEAD", f"{PREFIX}/api/v1/slides/{'0' * 32}").status_code == 404
    unknown = send(address, "GET", f"{PREFIX}/api/v1/slides/{'0' * 32}", headers={"If-None-Match": "*"})
    assert unknown.status_code == 404


def test_options_lists_the_methods(address, slide_id):
    reading = "GET, HEAD, OPTIONS"
    for path, methods in [
        (f"slides/{slide_id}", "DELETE, GET, HEAD, OPTIONS, PATCH"), ("slides/x.dzi", reading),
        (f"slides/{slide_id}/tiles/0/0_0.jpeg", reading),
    ]:  # fmt: skip
        answer = send(address, "OPTIONS", f"{PREFIX}/api/v1/{path}")
        assert (answer.status_code, answer.headers["allow"]) == (204, methods)


def test_options_of_the_server_as_a_whole(service):
    with socket.create_connection(("127.0.0.1", service.port), PATIENCE) as connection:
        connection.sendall(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b" 204 " in connection.recv(100)


def test_an_http_1_0_client_gets_no_chunks(service):
    with socket.create_connection(("127.0.0.1", service.port), PATIENCE) as connection:
        head = f"GET {PREFIX}/api/v1/slides HTTP/1.0\r\nAuthorization: Bearer {KEY}\r\n\r\n"
        connection.sendall(head.encode())
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert b"content-length: " in answer
    assert b"transfer-encoding" not in answer


def test_the_document_and_the_cookie_know_the_prefix(address):
    assert httpx.get(f"{address}/openapi.json").json()["servers"] == [{"url": PREFIX}]
    answer = httpx.post(f"{address}/api/v1/session", json={"key": KEY})
    assert answer.headers["set-cookie"].startswith("quarterturn-lab-slides-1=")
    assert "Path=/;" in answer.headers["set-cookie"]


def test_a_link_without_the_proxy_works_too(service, slide_id):
    for path in (f"{PREFIX}/slides/{slide_id}", f"/slides/{slide_id}"):
        answer = httpx.get(service.url + path)
        (script,) = re.findall(r'src="([^"]+main.js)"', answer.text)
        assert httpx.get(urljoin(str(answer.url), script)).status_code == 200


def test_the_pages_work(address, slide_id, chromium):
    page = chromium.new_page()
    page.goto(f"{address}/")
    page.fill("[data-part=key]", KEY)
    page.click("[data-panel=signin] button")
    row = page.locator(f"[data-part=slides] a[href$='/slides/{slide_id}']").first
    expect(row).to_be_visible()
    row.click()
    page.wait_for_url(f"{address}/slides/{slide_id}")
    page.wait_for_function("() => quarterturn.viewer?.world.getItemAt(0)?.getFullyLoaded()")
    page.click("a.brand")
    page.wait_for_url(f"{address}/")
    page.click("[data-part=people-link]")
    page.wait_for_url(f"{address}/people")
    expect(page.locator("[data-panel=keys]").first).to_be_visible()
    page.goto(f"{address}/docs")
    expect(page.locator("#docs .opblock").first).to_be_visible()
