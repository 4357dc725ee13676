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
SERVICES = COMPOSE["services"]
OURS = ("web", "worker", "extraction")
STARTED = r"gunicorn\W+annotation_site.wsgi"
ONCE = "migrate"  # runs to its end before the others start
# What a service is not told, since it does not need it.
WITHHELD = {
    "web": {"LLM_API_KEY"},
    "worker": {"EMAIL_URL", "OIDC_CLIENT_SECRET", "METRICS_TOKEN", "HF_TOKEN", "LLM_API_KEY"},
    "extraction": {"EMAIL_URL", "OIDC_CLIENT_SECRET", "METRICS_TOKEN"},
    "migrate": {"EMAIL_URL", "OIDC_CLIENT_SECRET", "METRICS_TOKEN", "LLM_API_KEY"},
}


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
    without = [name for name, one in SERVICES.items() if "healthcheck" not in one]
    assert without == [ONCE]
    assert all("timeout" in SERVICES[name]["healthcheck"] for name in SERVICES if name != ONCE)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_writes_to_its_volume_alone_and_has_no_privileges(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service)
    assert service.get("user", "of the image") != "root"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_limits_of_memory_processors_and_processes(name):
    assert {"mem_limit", "cpus", "pids_limit"} < set(SERVICES[name])


def test_only_what_needs_the_outside_reaches_it():
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    reached = {name for name, one in SERVICES.items() if one["networks"] != ["inside"]}
    assert reached == {"web", "extraction"}


def test_migrations_run_once_before_anything_that_uses_the_database():
    for name in OURS:
        assert SERVICES[name]["depends_on"][ONCE] == {"condition": "service_completed_successfully"}
        assert "migrate" not in str(SERVICES[name].get("command"))
    assert "manage.py migrate" in SERVICES[ONCE]["command"][-1]
    assert ONCE not in SERVICES[ONCE]["depends_on"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"^CMD .*migrate", dockerfile, re.MULTILINE)


def test_images_are_named_by_whole_versions_and_can_be_pinned_by_digest():
    named = [SERVICES[name]["image"] for name in ("database", "queue")]
    named += re.findall(r"^ARG PYTHON_IMAGE=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert len(named) == 3
    for image in named:
        assert re.search(r":\d+\.\d+(\.\d+)?-[a-z]+", image.replace(":-", "")), image
    text = (ROOT / "docs/deploying.md").read_text()
    assert "docker buildx imagetools inspect" in text
    for variable in ("POSTGRES_IMAGE", "REDIS_IMAGE", "PYTHON_IMAGE"):
        assert variable in text


def test_redis_has_a_password_that_everything_of_ours_knows():
    assert ":?" in SERVICES["queue"]["environment"]["REDISCLI_AUTH"]
    assert '--requirepass "$$REDISCLI_AUTH"' in SERVICES["queue"]["command"][-1]
    for name in OURS:
        assert "REDIS_PASSWORD:?" in SERVICES[name]["environment"]["REDIS_URL"]


def test_the_builder_is_sent_what_the_images_hold_and_no_secret():
    lines = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert lines[0] == "*"
    sent = {line[1:] for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(\S+) ", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert sent == set(copied)
    assert {"**/.env", "**/*.sqlite3"} < set(lines)


def test_what_is_installed_is_pinned_with_the_digest_of_every_file():
    """But for torch: which build fits a machine is for pip and its index to say."""
    packages = {}
    for path in (ROOT / "requirements/locked").glob("*.txt"):
        blocks = re.split(r"^(?=[A-Za-z0-9])", path.read_text(), flags=re.MULTILINE)[1:]
        packages[path.name] = {block.partition("==")[0] for block in blocks}
        assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks), path.name
        assert not any(re.match(r"torch|nvidia|triton", block) for block in blocks)
    assert {*packages} == {"demo.txt", "dev.txt", "docs.txt", "extract.txt", "site.txt", "web.txt"}
    assert packages["web.txt"] | packages["extract.txt"] == packages["site.txt"]
    text = (ROOT / "Makefile").read_text() + (ROOT / "Dockerfile").read_text()
    for line in re.findall(r".*(?:pip install --no-cache|\$\((?:PIP|INSTALL)\) ).*", text):
        assert "--require-hashes" in line or line.rstrip().endswith("-r requirements/torch.txt"), (
            line
        )


def test_every_pin_is_locked_in_the_version_that_is_named():
    locked = "".join(p.read_text() for p in (ROOT / "requirements/locked").glob("*.txt"))
    versions = set(re.findall(r"^([\w.-]+)==([^\s;]+)", locked, re.MULTILINE))
    for path in (ROOT / "requirements").glob("*.txt"):
        pins = re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==([^\s#]+)", path.read_text(), re.MULTILINE)
        for name, version in pins:
            if name != "torch":
                assert (re.sub(r"[-_.]+", "-", name).lower(), version) in versions, name


def test_no_secret_has_a_default_and_only_the_web_server_has_a_port():
    environment = COMPOSE["services"]["web"]["environment"]
    for name in ("SECRET_KEY", "SITE_URL", "DATABASE_PASSWORD", "REDIS_URL"):
        assert ":?" in environment[name], name
    ports = {name: one["ports"] for name, one in COMPOSE["services"].items() if "ports" in one}
    assert ports == {"web": ["127.0.0.1:8000:8000"]}  # behind a proxy on the same machine


def test_the_images_run_as_nobody_special_and_the_web_image_has_no_torch():
    stages = (ROOT / "Dockerfile").read_text().split("FROM ")[1:]
    assert [stage.split(" AS ")[1].split()[0] for stage in stages] == ["web", "kernel", "worker"]
    for stage in (stages[0], stages[2]):
        users = [line for line in stage.splitlines() if line.startswith("USER ")]
        assert users[-1] == "USER 999:999"
    assert "extract.txt" not in stages[0]
    assert "torch.txt" not in stages[0]
    packages = (ROOT / "requirements/web.txt").read_text()
    assert not any(line.startswith(("torch", "transformers")) for line in packages.splitlines())


def test_gunicorn_believes_no_forwarded_header_however_it_is_started():
    for name in ("Dockerfile", "docs/deploying.md"):
        lines = (ROOT / name).read_text().splitlines()
        started = [line for line in lines if re.search(STARTED, line)]
        assert started
        for line in started:
            assert re.search(r"--forwarded-allow-ips\W+(''|\"\")[ ,]", line), (name, line)
    command = web_command("127.0.0.1:8000", 2)
    assert command[command.index("--forwarded-allow-ips") + 1] == ""


def test_the_containers_get_every_documented_setting_and_an_empty_one_is_unset():
    text = (ROOT / "docs/deploying.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))
    for name, withheld in WITHHELD.items():
        environment = SERVICES[name]["environment"]
        # The volume's place is the image's, and a file of the host is not in a container.
        assert set(environment) == documented - {"VAR_DIR", "FFN_ENV_FILE"}
        assert {setting for setting, value in environment.items() if value == ""} == withheld
        for setting in set(environment) - withheld:
            assert f"${{{setting}:" in environment[setting], f"{setting} cannot be set in .env"


@pytest.mark.parametrize("name", ["Dockerfile", "docs/deploying.md"])
def test_gunicorn_makes_no_control_socket_in_somebodys_home(name):
    lines = (ROOT / name).read_text().splitlines()
    started = [line for line in lines if re.search(STARTED, line)]
    assert all("--no-control-socket" in line for line in started)
    assert "--no-control-socket" in web_command("127.0.0.1:8000", 2)
