"""The deployment files without a container engine: the compose schema, and the existence of copied sources."""

import re
import subprocess
import sys

import yaml
from alembic import command

from core.database.migrations import configuration, migrate


def test_compose_is_valid_and_safe(repository):
    path = repository / "docker-compose.yml"
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    subprocess.run(check, check=True, capture_output=True)
    compose = yaml.safe_load(path.read_text())
    services = compose["services"]
    assert compose["networks"]["inside"]["internal"] is True
    assert {"postgres", "redis", "migrate", "api", "worker"} <= set(services)
    assert all(not service.get("privileged") for service in services.values())
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", []))
    assert "noeviction" in services["redis"]["command"]
    assert "384mb" in services["redis"]["command"], "it refuses before the kernel ends it at its limit"
    for name, service in services.items():
        assert name == "migrate" or "healthcheck" in service
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["read_only"] is True
        assert name == "api" or service["networks"] == ["inside"], "only the API's port is published"
        limits = service["deploy"]["resources"]["limits"]
        assert limits["memory"]
        assert limits["pids"]
        assert service["cap_drop"] == ["ALL"]
        assert "user" in service or "build" in service, "our own images name theirs"
        plain = [value for key, value in service.get("environment", {}).items() if "PASSWORD" in key or "KEY" in key]
        assert all(str(value).startswith("/run/secrets/") for value in plain), "secrets come by file"


def test_every_copied_source_exists(repository):
    for line in (repository / "Dockerfile").read_text().splitlines():
        copy = re.match(r"COPY (?!--from)(.+) \S+$", line)
        for source in copy[1].split() if copy else []:
            assert (repository / source).exists(), source
    targets = set(re.findall(r"^FROM \S+ AS (\S+)$", (repository / "Dockerfile").read_text(), re.MULTILINE))
    assert {"api", "worker", "worker-cuda"} <= targets


def test_migrations_match_the_records(tmp_path):
    url = f"sqlite:///{tmp_path / 'x.db'}"
    migrate(url)
    command.check(configuration(url))
