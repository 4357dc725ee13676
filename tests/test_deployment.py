"""The files that deploy the site: whole, and with nothing that a stranger could use."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from annotation_site.serving import web_command

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = ("web", "worker", "extraction")


def test_the_compose_file_follows_the_compose_specification():
    ended = subprocess.run(
        [
            sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec",
            ROOT / "docker-compose.yml",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_service_says_whether_it_is_well():
    assert [name for name, one in COMPOSE["services"].items() if "healthcheck" not in one] == []


@pytest.mark.parametrize("name", OURS)
def test_our_services_write_to_their_volume_alone_and_have_no_privileges(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


def test_no_secret_has_a_default_and_only_the_web_server_has_a_port():
    environment = COMPOSE["services"]["web"]["environment"]
    for name in ("SECRET_KEY", "SITE_URL", "DATABASE_PASSWORD"):
        assert ":?" in environment[name], name
    ports = {name: one["ports"] for name, one in COMPOSE["services"].items() if "ports" in one}
    assert ports == {"web": ["127.0.0.1:8000:8000"]}  # behind a proxy on the same machine


def test_the_images_run_as_nobody_special_and_the_web_image_has_no_torch():
    stages = (ROOT / "Dockerfile").read_text().split("FROM ")[1:]
    assert [stage.split(" AS ")[1].split()[0] for stage in stages] == ["web", "worker"]
    for stage in stages:
        users = [line for line in stage.splitlines() if line.startswith("USER ")]
        assert users[-1] == "USER app"
    assert "extract.txt" not in stages[0]
    packages = (ROOT / "requirements/web.txt").read_text()
    assert not any(line.startswith(("torch", "transformers")) for line in packages.splitlines())


def test_gunicorn_believes_no_forwarded_header_however_it_is_started():
    for name in ("Dockerfile", "docs/deploying.md"):
        lines = (ROOT / name).read_text().splitlines()
        started = [line for line in lines if "gunicorn annotation_site.wsgi" in line]
        assert started
        for line in started:
            assert re.search(r"--forwarded-allow-ips (''|\"\")( |$)", line), (name, line)
    command = web_command("127.0.0.1:8000", 2)
    assert command[command.index("--forwarded-allow-ips") + 1] == ""


def test_the_containers_get_every_documented_setting_and_an_empty_one_is_unset():
    text = (ROOT / "docs/deploying.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))
    for name in OURS:
        environment = COMPOSE["services"][name]["environment"]
        # The volume's place is the image's, and a file of the host is not in a container.
        assert set(environment) == documented - {"VAR_DIR", "FFN_ENV_FILE"}
        for setting, value in environment.items():
            assert f"${{{setting}:" in value, f"{setting} cannot be set in .env"


@pytest.mark.parametrize("name", ["Dockerfile", "docs/deploying.md"])
def test_gunicorn_makes_no_control_socket_in_somebodys_home(name):
    lines = (ROOT / name).read_text().splitlines()
    started = [line for line in lines if "gunicorn annotation_site.wsgi" in line]
    assert all("--no-control-socket" in line for line in started)
    assert "--no-control-socket" in web_command("127.0.0.1:8000", 2)
