"""The files in deploy/: read by the parsers of their formats, and the commands in them run, without a container."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import crossplane
import dockerfile
import pytest
import yaml
from compose_spec import PyCompose

import config
from tests.support.processes import ROOT, Server, call, free_port

pytestmark = pytest.mark.slow

DEPLOY = ROOT / "deploy"
SECRETS = {"SECRET_KEY": "Kq3-x8Vb_Zp5Rt7Lw2Yn9Cm4Hd6Js1Tr", "JWT_SECRET_KEY": "Ub7_e2Xo-Qf9Gi4Wz6Ka8Pv3Ml5Nt0Ye"}


def steps() -> list[Any]:
    return list(dockerfile.parse_file(str(DEPLOY / "Dockerfile")))


def values(name: str) -> list[tuple[str, ...]]:
    return [step.value for step in steps() if step.cmd.upper() == name]


def test_image_has_two_stages_and_does_not_run_as_root() -> None:
    assert len(values("FROM")) == 2
    assert all(re.fullmatch(r"python:3\.\d+-slim-\w+", image[0]) for image in values("FROM"))
    last = max(number for number, step in enumerate(steps()) if step.cmd.upper() == "FROM")
    users = [step.value[0] for step in steps()[last:] if step.cmd.upper() == "USER"]
    assert users == ["chatbot"]


def test_image_installs_the_locks_as_make_does() -> None:
    flags = "--require-hashes --no-deps -r"
    assert flags.removesuffix(" -r") in (ROOT / "Makefile").read_text()
    installs = [command for (command, *_) in values("RUN") if "pip install" in command]
    assert [re.search(rf"{flags} (\S+)", command)[1] for command in installs] == [  # type: ignore[index]  # without a match the test fails here
        "requirements.txt",
        "requirements-model.txt",
    ]


def test_image_runs_with_what_is_copied_into_it(tmp_path: Path) -> None:
    """In a folder that holds nothing else, with the image's own command and health check."""
    home = tmp_path / "app"
    home.mkdir()
    for step in steps():
        if step.cmd.upper() == "COPY" and not step.flags:
            *sources, target = step.value
            if target.endswith("/"):
                (home / target).mkdir(exist_ok=True)
            for source in sources:
                into = home / target / ("" if target != "./" else source)
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                copy(ROOT / source, into)
    server = Server(tmp_path, APP_ENV="production", LLM="memory", BCRYPT_ROUNDS="12", **SECRETS)
    server.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    port = free_port()
    (words,) = values("CMD")[-1:]
    (entry,) = values("ENTRYPOINT")
    command = [*entry, *(word.replace("0.0.0.0:8000", f"127.0.0.1:{port}") for word in words)]
    (health,) = ([*step.value] for step in steps() if step.cmd.upper() == "HEALTHCHECK")
    check = [sys.executable, "-c", health[-1].replace(":8000", f":{port}")]
    assert subprocess.run(check, check=False, capture_output=True).returncode != 0
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=home, env=server.environment, stdout=log, stderr=log)
    try:
        wait_for_health(port)
        assert subprocess.run(check, check=False, capture_output=True).returncode == 0
    finally:
        process.terminate()
        assert process.wait(30) == 0


def wait_for_health(port: int) -> None:
    from tests.support.waiting import wait_for

    def healthy() -> bool:
        try:
            return call(port, "GET", "/healthz", seconds=5)[0] == 200
        except OSError:
            return False

    wait_for(healthy, 60)


def compose() -> dict[str, Any]:
    text = re.sub(r"\$\{(\w+):(-|\?)([^}]*)\}", lambda match: match[3] or "x", (DEPLOY / "compose.yaml").read_text())
    merged = json.dumps(yaml.safe_load(text))  # the other parser knows no merged keys
    return dict(PyCompose.from_json(merged).to_dict())


def test_compose_file_is_valid_and_names_only_settings_and_files_that_there_are() -> None:
    found = compose()["services"]
    assert set(found) == {"nginx", "app", "postgres", "redis"}
    for service in found.values():
        assert not service["image"].endswith("latest")
        assert ":" in service["image"] or service["image"] == "chatbot-api"
    assert set(found["app"]["environment"]) <= set(config.Config().fields)
    assert (DEPLOY / "nginx.conf").exists()
    assert "--requirepass" in found["redis"]["command"]
    assert re.fullmatch(r"redis://:.+@redis:6379/0", found["app"]["environment"]["REDIS_URL"])
    for name in ("SECRET_KEY", "JWT_SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "BASE_URL"):
        assert re.search(rf"\${{{name}:\?", (DEPLOY / "compose.yaml").read_text())


@pytest.mark.parametrize("name", ["nginx.conf", "nginx-tls.conf", "nginx-debian.conf"])
def test_nginx_streams_bounds_and_keeps_the_metrics_inside(tmp_path: Path, name: str) -> None:
    for file in DEPLOY.glob("nginx*.conf"):
        (tmp_path / file.name).write_text(
            file.read_text().replace("/etc/nginx/nginx-server", f"{tmp_path}/nginx-server")
        )
    parsed = crossplane.parse(str(tmp_path / name), strict=True)
    # To crossplane the entries of a map are directives.
    entries = {f'unknown directive "{entry}"' for entry in ("~(?s)^(?<network>.{8}).{8}$", "default")}
    assert {error["error"].partition(" in ")[0] for error in parsed["errors"]} == entries
    assert len(parsed["config"]) == 2
    text = (DEPLOY / "nginx-server.conf").read_text()
    assert "location = /metrics {" in text
    for bound in ("limit_conn addresses", "client_body_timeout", "client_header_timeout", "send_timeout"):
        assert f"\n{bound}" in text
    assert "limit_conn_zone $household zone=addresses" in (DEPLOY / name).read_text()
    assert "proxy_buffering off;" in text
    assert ("server app:8000 resolve;" in (DEPLOY / name).read_text()) == (name != "nginx-debian.conf")
    assert (
        int(re.search(r"proxy_read_timeout (\d+)s", text)[1]) > config.Config().fields["LLM_TOTAL_SECONDS"].load_default
    )  # type: ignore[index]  # without a match the test fails here
    most = int(re.search(r"client_max_body_size (\d+)m", text)[1]) << 20  # type: ignore[index]  # without a match the test fails here
    assert most > config.Config().fields["DOCUMENT_BYTES"].load_default


def test_tls_variant_takes_nothing_older_and_nothing_in_the_clear() -> None:
    text = (DEPLOY / "nginx-tls.conf").read_text()
    assert "ssl_protocols TLSv1.2 TLSv1.3;" in text
    assert 'add_header Strict-Transport-Security "max-age=31536000" always;' in text
    assert "proxy_hide_header Strict-Transport-Security;" in text
    (in_the_clear,) = re.findall(r"listen \[::\]:80;(.*?)\n    }\n", text, re.DOTALL)
    documentation, rest = re.findall(r"location (\S+) {(.*?)\n        }", in_the_clear, re.DOTALL)
    assert (documentation[0], rest[0]) == ("/api/docs/", "/")
    assert "return 308 https://" in documentation[1]
    assert "return 403 " in rest[1]
    assert "https_required" in rest[1]
    assert "include" not in in_the_clear


def test_systemd_unit_is_valid_and_runs_what_make_run_does(tmp_path: Path) -> None:
    text = (DEPLOY / "chatbot.service").read_text()
    commands = re.findall(r"^Exec\w+=/opt/chatbot/.venv/bin/(.*)$", text, re.MULTILINE)
    made = (ROOT / "Makefile").read_text()
    assert all(f"$(BIN)/{command}" in made for command in commands)
    assert len(commands) == 2
    assert "\nInaccessiblePaths=-/opt/chatbot/.git\n" in text
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here")
    here = tmp_path / "chatbot.service"
    here.write_text(text.replace("/opt/chatbot/.venv/bin/", f"{Path(sys.executable).parent}/"))
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(here)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
