"""Settings: types, defaults, secrets, and refused values."""

import json
import stat
from pathlib import Path

import pytest

import config

GOOD_SECRETS = {"SECRET_KEY": "kD83hfLq0zPmWnXv71RtYbGc52AjSeUo", "JWT_SECRET_KEY": "Zq8vT5mK2pXw9nLrB4cJ7hYf3gDs6aEu"}
BAD_VALUES = [
    ("APP_ENV", "prod"),
    ("PORT", "70000"),
    ("BASE_URL", "127.0.0.1:8000"),
    ("DATABASE_URL", "mysql://x/y"),
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("REDIS_URL", "localhost:6379"),
    ("WEB_CONCURRENCY", "0"),
    ("WEB_CONCURRENCY", "2"),
    ("VECTOR_STORE", "pgvector"),
    ("VECTOR_STORE", "pinecone"),
    ("PINECONE_HOST", "no host"),
    ("OPENAI_BASE_URL", "ftp://x"),
    ("OPENAI_MAX_TOKENS", "many"),
    ("OPENAI_TEMPERATURE", "3"),
    ("RETENTION_DAYS", "0"),
    ("BCRYPT_ROUNDS", "31"),
    ("LOG_LEVEL", "loud"),
    ("RATELIMIT_ENABLED", "perhaps"),
    ("RATE_CHAT_USER", "a lot"),
    ("CORS_ORIGINS", "https://app.example.org/path"),
    ("CORS_ORIGINS", "https://*.example.org"),
    ("CORS_ORIGINS", "app.example.org"),
    ("SECRET_KEY", "short"),
    ("MAIL_URL", "http://mail.example.org"),
    ("MAIL_FROM", "no address"),
    ("ACCOUNT_URL", "https://app.example.org/#account"),
    ("MODEL_PRICES", "gpt-4o-mini"),
    ("PRICE_LIST", "another"),
    ("AUTH_JWKS", "https://login.example.org"),
    ("AUTH_JWKS", "https://login.example.org||https://login.example.org/keys"),
    ("AUTH_JWKS", "https://login.example.org|my-api|ftp://login.example.org/keys"),
    ("AUTH_JWKS", "https://login.example.org|my-api|https://login.example.org/keys|HS256"),
    ("AUTH_JWKS", "https://login.example.org|my-api|https://login.example.org/keys|none"),
    ("AUTH_JWKS", "urn:chatbot:user:1|my-api|https://login.example.org/keys"),
    ("AUTH_JWKS", "a|b|https://login.example.org/keys, a|b|https://login.example.org/keys"),
]


def load(tmp_path: Path, dotenv: str = "", **environ: str) -> dict[str, object]:
    (tmp_path / ".env").write_text(dotenv)
    return config.load({"INSTANCE_PATH": str(tmp_path / "instance"), **environ}, tmp_path / ".env")


def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], **environ: str) -> list[str]:
    with pytest.raises(config.BadSettings) as caught:
        load(tmp_path, **environ)
    assert caught.value.code == 78
    lines = capsys.readouterr().err.splitlines()
    assert lines == caught.value.lines
    return lines


def test_defaults_are_what_the_readme_says(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings["OPENAI_MODEL"] == "gpt-3.5-turbo"
    assert (settings["OPENAI_MAX_TOKENS"], settings["OPENAI_TEMPERATURE"]) == (150, 0.7)
    assert (settings["RETENTION_DAYS"], settings["BCRYPT_ROUNDS"]) == (30, 12)
    assert settings["DATABASE_URL"] == f"sqlite+pysqlite3:///{tmp_path}/instance/chatbot.db"
    assert config.listen_address(settings) == ("127.0.0.1", 8000)


def test_environment_wins_over_dotenv_and_empty_counts_as_not_set(tmp_path: Path) -> None:
    settings = load(tmp_path, "OPENAI_MODEL=from-file\nLOG_LEVEL=debug\n", OPENAI_MODEL="from-shell", OPENAI_API_KEY="")
    assert (settings["OPENAI_MODEL"], settings["LOG_LEVEL"]) == ("from-shell", "debug")
    assert settings["OPENAI_API_KEY"] is None


def test_unknown_name_in_dotenv_warns_with_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(tmp_path, "OPENAI_MODLE=x\nFLASK_ENV=y\nZZZ=1\n")
    said = sorted(capsys.readouterr().err.splitlines())
    assert said == [".env: OPENAI_MODLE is not a setting; did you mean OPENAI_MODEL?", ".env: ZZZ is not a setting"]


@pytest.mark.parametrize("secrets", [{}, {"APP_ENV": "production", **GOOD_SECRETS}], ids=["development", "production"])
@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_bad_value_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], secrets: dict[str, str], name: str, value: str
) -> None:
    (line,) = refused(tmp_path, capsys, **{**secrets, name: value})
    assert line.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, ["SECRET_KEY", "JWT_SECRET_KEY"]),
        ({"SECRET_KEY": "x" * 40}, ["SECRET_KEY"]),
        ({"SECRET_KEY": "abcdefghijkl" * 4}, ["SECRET_KEY"]),
        ({"SECRET_KEY": "change-me-in-production-0123456789abcdef"}, ["SECRET_KEY"]),
        ({"JWT_SECRET_KEY": GOOD_SECRETS["SECRET_KEY"]}, ["JWT_SECRET_KEY"]),
        ({"CORS_ORIGINS": "*"}, ["CORS_ORIGINS"]),
        ({"FLASK_DEBUG": "1"}, ["FLASK_DEBUG"]),
        ({"BCRYPT_ROUNDS": "4"}, ["BCRYPT_ROUNDS"]),
        ({"MAIL_URL": "console:"}, ["MAIL_URL"]),
        ({"MAIL_URL": "memory:"}, ["MAIL_URL"]),
        ({"MAIL_URL": "smtp://mail.example.org"}, ["MAIL_FROM"]),
        ({"REQUIRE_VERIFIED_EMAIL": "true"}, ["REQUIRE_VERIFIED_EMAIL"]),
        ({"AUTH_JWKS": "http://login.example.org|my-api|http://login.example.org/keys"}, ["AUTH_JWKS"]),
        ({"MAIL_URL": "smtp://:25", "MAIL_FROM": "a@b.org"}, ["MAIL_URL"]),
        ({"MAIL_URL": "smtp://mail.example.org:many", "MAIL_FROM": "a@b.org"}, ["MAIL_URL"]),
    ],
)
def test_production_refuses_what_could_be_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], environ: dict[str, str], named: list[str]
) -> None:
    secrets = GOOD_SECRETS if environ else {}
    lines = refused(tmp_path, capsys, APP_ENV="production", **{**secrets, **environ})
    assert [line.partition(":")[0] for line in lines] == named
    assert not any(value in line for line in lines for value in environ.values() if len(value) > 20)


def test_production_with_good_settings_starts_and_lets_no_page_in(tmp_path: Path) -> None:
    settings = load(tmp_path, APP_ENV="production", **GOOD_SECRETS)
    assert settings["CORS_ORIGINS"] == []
    assert stat.S_IMODE((tmp_path / "instance").stat().st_mode) == 0o700  # in which SQLite's file will be
    assert not (tmp_path / "instance/secrets.json").exists()


def test_development_makes_its_secrets_once_and_keeps_them_private(tmp_path: Path) -> None:
    first = load(tmp_path)
    second = load(tmp_path)
    path = tmp_path / "instance/secrets.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert json.loads(path.read_text()) == {name: first[name] for name in config.SECRETS}
    assert [second[name] for name in config.SECRETS] == [first[name] for name in config.SECRETS]
    assert len({*map(str, json.loads(path.read_text()).values())}) == 2


def test_second_process_takes_the_secrets_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(tmp_path)
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda self: self.name != "secrets.json" and exists(self))
    assert load(tmp_path)["SECRET_KEY"] == first["SECRET_KEY"]
    assert [path.name for path in (tmp_path / "instance").iterdir()] == ["secrets.json"]


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({"BASE_URL": "http://0.0.0.0:9000"}, ("0.0.0.0", 9000)),
        ({"BASE_URL": "http://localhost", "PORT": "81"}, ("localhost", 81)),
        ({"BASE_URL": "http://localhost"}, ("localhost", 80)),
        ({"BASE_URL": "https://chat.example.org"}, ("127.0.0.1", 8000)),
        ({"PORT": "8123"}, ("127.0.0.1", 8123)),
    ],
)
def test_listens_at_base_url_or_port(tmp_path: Path, environ: dict[str, str], address: tuple[str, int]) -> None:
    assert config.listen_address(load(tmp_path, **environ)) == address


@pytest.mark.parametrize("url", ["postgres://u@h/n", "postgresql://u@h/n", "postgresql+psycopg://u@h/n"])
def test_postgresql_is_spoken_through_psycopg_3(tmp_path: Path, url: str) -> None:
    assert load(tmp_path, DATABASE_URL=url)["DATABASE_URL"] == "postgresql+psycopg://u@h/n"


def test_many_workers_are_allowed_with_postgresql_and_redis(tmp_path: Path) -> None:
    urls = {"DATABASE_URL": "postgresql://u@h/n", "REDIS_URL": "redis://localhost"}
    assert load(tmp_path, WEB_CONCURRENCY="4", **urls)["WEB_CONCURRENCY"] == 4


def test_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(config.BadSettings) as caught:
        config.load({"INSTANCE_PATH": str(tmp_path / "file" / "instance")}, env_file=tmp_path / ".env")
    assert caught.value.code == config.EX_CONFIG
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"INSTANCE_PATH: {tmp_path}/file/instance cannot be written: Not a directory."
