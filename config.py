"""Every setting: its name, its type, its default and one line of why.

Settings come from the environment or from `.env` beside this file (the environment wins; an empty value counts as not
set). `load` checks them all at once; what is wrong is one clear line each and exit code 78 (EX_CONFIG of sysexits.h),
before any port opens. This module imports nothing of the application, because gunicorn's arbiter reads it too.
"""

import contextlib
import difflib
import os
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from dotenv import dotenv_values
from marshmallow import EXCLUDE, ValidationError, fields, validates_schema
from marshmallow.validate import And, Length, OneOf, Range, Regexp

from auth_settings import AuthSettings
from bounds import Bounds, setting
from mail_settings import URL, MailSettings, find_mail_errors
from usage_settings import UsageSettings

ROOT = Path(__file__).resolve().parent
EX_CONFIG = 78
MAX_PREVIOUS = 2  # each makes a login take as long again
SECRETS = ("SECRET_KEY", "JWT_SECRET_KEY")
LOCAL = "http://127.0.0.1:8000"
LOCALHOST = ["http://localhost:*", "http://127.0.0.1:*"]
HTTP_URL = Regexp(r"^https?://[^\s/?#@]+(/[^\s?#]*)?\Z", error="Must be an http or https address.")
ORIGIN_PATTERN = r"^(\*|https?://[^\s/*?#@]+|http://(localhost|127\.0\.0\.1):\*)\Z"
MODEL_LISTS = ("OPENAI_FALLBACK_MODELS", "OPENAI_MODELS")
MODEL = re.compile(r"(?P<model>[^\s@]{1,200})(@(?P<base_url>https?://[^\s?#@]+)(\s+(?P<api_key>[\x21-\x7e]+))?)?")
HOST = Regexp(r"^(https?://)?[\w-]+(\.[\w-]+)+(:\d+)?/?\Z", error="Must be the name of a host.")
REDIS = Regexp(r"^(rediss?|unix)://", error="Must start with redis://, rediss:// or unix://.")
PRINTABLE = Regexp(r"^[\x21-\x7e]+\Z", error="Must be printable ASCII without spaces.")


class Word(fields.String):
    """A word of ours, in any case."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        return str(super()._deserialize(value, attr, data, **options)).lower()


class Config(Bounds, AuthSettings, MailSettings, UsageSettings):
    """The settings of every environment."""

    class Meta:
        unknown = EXCLUDE

    APP_ENV = setting(
        Word, "development", "development, testing or production", OneOf(["development", "testing", "production"])
    )
    FLASK_DEBUG = setting(fields.Boolean, False, "Flask's debugger, for development")
    BASE_URL = setting(fields.String, LOCAL, "The public address; an http one also says where to listen", HTTP_URL)
    PORT = setting(fields.Integer, None, "Listens here instead of the port of BASE_URL", Range(1, 65535))
    INSTANCE_PATH = setting(fields.String, "instance", "Folder of the SQLite file and of development's secrets")
    SECRET_KEY = setting(
        fields.String, None, "Keys passwords and refresh tokens; changing it voids both", And(Length(min=32), PRINTABLE)
    )
    SECRET_KEY_PREVIOUS = setting(
        fields.String, "", "SECRET_KEY of before, one or two separated by commas: what they keyed stays good"
    )
    JWT_SECRET_KEY = setting(
        fields.String, None, "Signs access tokens; changing it voids all of them", And(Length(min=32), PRINTABLE)
    )
    DATABASE_URL = setting(
        fields.String, "sqlite:///chatbot.db", "A SQLite file (in INSTANCE_PATH) or postgresql://user@host/name"
    )
    REDIS_URL = setting(fields.String, None, "Shares running answers and rate limits between workers and hosts", REDIS)
    WEB_CONCURRENCY = setting(fields.Integer, 1, "Workers; more than one needs PostgreSQL and Redis", Range(1, 64))
    TRUSTED_PROXIES = setting(fields.Integer, 0, "Reverse proxies whose X-Forwarded-For is believed", Range(0, 5))
    LLM = setting(Word, "openai", "The adapter that answers, a name in chatbot/rag/registry.py")
    OPENAI_API_KEY = setting(
        fields.String, None, "Key of the model's server; none and no base URL: embedded model", PRINTABLE
    )
    OPENAI_BASE_URL = setting(
        fields.String, None, "Any OpenAI-compatible server; with only a key, OpenAI itself", HTTP_URL
    )
    OPENAI_MODEL = setting(fields.String, "gpt-3.5-turbo", "The model's name at that server", Length(1, 200))
    OPENAI_MAX_TOKENS = setting(
        fields.Integer, 150, "Longest answer; 150 cuts many (status truncated)", Range(1, 1_000_000)
    )
    OPENAI_MAX_TOKENS_EXCEEDED = setting(
        Word, "cap", "cap or refuse: a request on /v1 for a longer answer", OneOf(["cap", "refuse"])
    )
    OPENAI_TEMPERATURE = setting(fields.Float, 0.7, "0 is terse and repeatable, 2 is wild", Range(0, 2))
    OPENAI_FALLBACK_MODELS = setting(
        fields.String, "", "Asked in this order when the model fails: NAME, NAME@BASE_URL or NAME@BASE_URL KEY, ..."
    )
    OPENAI_MODELS = setting(fields.String, "", "Further models that users may ask for, written in the same way")
    PROMPT_TOKENS = setting(fields.Integer, 5000, "Longest prompt; older turns are left out", Range(200, 10_000_000))
    SUMMARIES = setting(fields.Boolean, True, "The model sums up turns that are left out, beside its answers")
    LLM_RETRIES = setting(fields.Integer, 2, "Further tries before an answer has begun", Range(0, 10))
    LLM_BREAKER_FAILURES = setting(fields.Integer, 10, "Failures in a row that open the breaker", Range(1, 1_000_000))
    LLM_BREAKER_SECONDS = setting(fields.Float, 10.0, "How long an open breaker stays open", Range(0.1, 600))
    LLM_CONNECT_SECONDS = setting(fields.Float, 5.0, "Gives up connecting to the model's server", Range(0.01, 60))
    LLM_FIRST_BYTE_SECONDS = setting(fields.Float, 30.0, "Gives up waiting for an answer to begin", Range(0.01, 600))
    LLM_IDLE_SECONDS = setting(fields.Float, 20.0, "Gives up when no text comes for so long", Range(0.01, 600))
    LLM_TOTAL_SECONDS = setting(fields.Float, 300.0, "Gives up on an answer as a whole", Range(0.01, 3600))
    EMBEDDER = setting(Word, None, "Adapter of the vectors; default: openai with a key and embeddings, else wordllama")
    EMBEDDING_MODEL = setting(fields.String, None, "Its model; default: text-embedding-3-small", Length(1, 120))
    EMBEDDING_SECONDS = setting(fields.Float, 10.0, "Gives up on the embedder or reranker", Range(0.01, 600))
    VECTOR_STORE = setting(Word, "faiss", "The adapter that finds vectors: faiss, pgvector or pinecone")
    PINECONE_HOST = setting(fields.String, None, "The index at pinecone.io, of this installation alone", HOST)
    PINECONE_API_KEY = setting(fields.String, None, "The key of that index", PRINTABLE)
    VECTOR_BYTES = setting(fields.Integer, 1 << 30, "Bytes of vectors that a process keeps", Range(1 << 20, 1 << 50))
    RERANKER_URL = setting(fields.String, None, "A server whose /rerank judges passages anew", HTTP_URL)
    RERANKER_MODEL = setting(fields.String, "", "The reranker's name at that server")
    INGEST_HOSTS = setting(fields.String, "", "Hosts to fetch documents from; none: any, in production none at all")
    TURN_FLUSH_SECONDS = setting(fields.Float, 1.0, "How often running answers are saved; 0 is never", Range(0, 60))
    RETENTION_DAYS = setting(fields.Integer, 30, "Turns older than this are deleted daily", Range(1, 36_500))
    BCRYPT_ROUNDS = setting(fields.Integer, 12, "Cost of a password hash; one more doubles it", Range(10, 15))
    LOG_LEVEL = setting(Word, "info", "debug, info, warning or error", OneOf(["debug", "info", "warning", "error"]))
    METRICS_TOKEN = setting(fields.String, None, "Opens /metrics to others than this machine", PRINTABLE)
    CORS_ORIGINS = setting(fields.String, "", "Web pages that may call, exact origins separated by commas")

    @validates_schema
    def check_together(self, data: dict[str, Any], **_: Any) -> None:
        """Check settings together: addresses, origins and the needs of several workers."""
        errors = _origin_errors(data["CORS_ORIGINS"]) | _database_errors(data["DATABASE_URL"]) | _model_errors(data)
        errors |= _previous_errors(data["SECRET_KEY_PREVIOUS"]) | find_mail_errors(data)
        postgres = data["DATABASE_URL"].startswith("postgres")
        if data["WEB_CONCURRENCY"] > 1 and not (data["REDIS_URL"] and postgres):
            errors["WEB_CONCURRENCY"] = ["More than one worker needs a PostgreSQL DATABASE_URL and a REDIS_URL."]
        if data["VECTOR_STORE"] == "pgvector" and not postgres:
            errors["VECTOR_STORE"] = ["pgvector needs a PostgreSQL DATABASE_URL."]
        if data["VECTOR_STORE"] == "pinecone" and not (data["PINECONE_HOST"] and data["PINECONE_API_KEY"]):
            errors["VECTOR_STORE"] = ["pinecone needs a PINECONE_HOST and a PINECONE_API_KEY."]
        if errors:
            raise ValidationError(errors)


class DevelopmentConfig(Config):
    """A newcomer's machine, and tests: local pages may call, secrets make themselves."""

    CORS_ORIGINS = setting(fields.String, ",".join(LOCALHOST), Config._declared_fields["CORS_ORIGINS"].metadata["why"])
    MAIL_URL = setting(fields.String, "console:", Config._declared_fields["MAIL_URL"].metadata["why"], URL)
    BCRYPT_ROUNDS = setting(fields.Integer, 12, Config._declared_fields["BCRYPT_ROUNDS"].metadata["why"], Range(4, 15))


class ProductionConfig(Config):
    """No default secrets, no debugger, no page from anywhere."""

    @validates_schema(skip_on_field_errors=False)
    def check_secrets(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse secrets that an attacker could guess."""
        errors = {name: [reason] for name in SECRETS if name in data and (reason := _weakness(data[name]))}
        if data.get("SECRET_KEY") and data["SECRET_KEY"] == data.get("JWT_SECRET_KEY"):
            errors["JWT_SECRET_KEY"] = ["Must differ from SECRET_KEY."]
        if "*" in origins(data.get("CORS_ORIGINS", "")):
            errors["CORS_ORIGINS"] = ["'*' is not allowed in production."]
        if data.get("FLASK_DEBUG"):
            errors["FLASK_DEBUG"] = ["The debugger is not allowed in production."]
        if errors:
            raise ValidationError(errors)


ENVIRONMENTS: dict[str, type[Config]] = {
    "development": DevelopmentConfig,
    "testing": DevelopmentConfig,
    "production": ProductionConfig,
}


class BadSettings(SystemExit):
    """Settings that nothing should be started with; its text has one line for each reason."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(EX_CONFIG)
        self.lines = lines


def origins(text: str) -> list[str]:
    """Split a comma-separated list of origins."""
    return [item.strip().rstrip("/") for item in text.split(",") if item.strip()]


def _origin_errors(text: str) -> dict[str, list[str]]:
    hint = "must be an exact origin such as 'https://app.example.org', without a path."
    wrong = [f"{item!r} {hint}" for item in origins(text) if not re.match(ORIGIN_PATTERN, item)]
    return {"CORS_ORIGINS": wrong} if wrong else {}


def _database_errors(url: str) -> dict[str, list[str]]:
    if re.match(r"sqlite:///(?!.*:memory:).|postgres(ql)?(\+psycopg)?://.*/.", url):
        return {}
    return {"DATABASE_URL": ["Must be sqlite:///FILE or postgresql://USER@HOST/NAME."]}


def models(text: str) -> list[dict[str, str | None]]:
    """Split a list of models into `model`, `base_url` and `api_key`; an unreadable one is empty."""
    found = (MODEL.fullmatch(item.strip()) for item in text.split(",") if item.strip())
    return [match.groupdict() if match else {} for match in found]


def _model_errors(data: Mapping[str, Any]) -> dict[str, list[str]]:
    hint = "Must read like 'gpt-4o-mini, llama3@http://127.0.0.1:11434/v1, NAME@https://host/v1 KEY'."
    return {name: [hint] for name in MODEL_LISTS if not all(models(data[name]))}


def previous_secrets(text: str) -> list[str]:
    """Split a comma-separated list of secrets."""
    return [item.strip() for item in text.split(",") if item.strip()]


def _previous_errors(text: str) -> dict[str, list[str]]:
    found = previous_secrets(text)
    if len(found) <= MAX_PREVIOUS and all(len(one) >= 32 for one in found):
        return {}
    return {"SECRET_KEY_PREVIOUS": [f"Must be up to {MAX_PREVIOUS} secrets of 32 characters or more."]}


def _weakness(secret: str | None) -> str:
    if not secret:
        return "Must be set in production; `python -c 'import secrets; print(secrets.token_urlsafe(48))'` makes one."
    if len(set(secret)) < 12 or secret in (secret * 2)[1:-1]:  # a text repeated
        return "Is too repetitive to be a secret."
    if re.search(r"secret|password|change|example|insecure|your|default|dev-", secret, re.IGNORECASE):
        return "Looks like one from a document or an example."
    return ""


def _from_environment(environ: Mapping[str, str] | None, env_file: Path | None) -> dict[str, str]:
    written = dotenv_values(env_file or ROOT / ".env")
    for name in written.keys() - Config._declared_fields.keys():
        if not name.startswith("FLASK_"):
            near = difflib.get_close_matches(name, Config._declared_fields, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            print(f".env: {name} is not a setting{hint}", file=sys.stderr)
    found = {**written, **(os.environ if environ is None else environ)}
    return {name: value for name, value in found.items() if value}


def _own_secrets(folder: Path) -> dict[str, str]:
    """Make development's secrets once and read them ever after; the first process to link the file wins."""
    path = folder / "secrets.json"
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = folder / f"secrets.{secrets.token_hex(8)}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(orjson.dumps({name: secrets.token_urlsafe(48) for name in SECRETS}))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    made: dict[str, str] = orjson.loads(path.read_bytes())
    return made


def _resolve(data: dict[str, Any]) -> dict[str, Any]:
    """Normalize settings: absolute paths, driver names, lists."""
    folder = (ROOT / data["INSTANCE_PATH"]).resolve()
    data["INSTANCE_PATH"] = str(folder)
    if data["APP_ENV"] != "production" and not all(data[name] for name in SECRETS):
        data.update({name: data[name] or made for name, made in _own_secrets(folder).items()})
    url = re.sub(r"^postgres(ql)?(\+psycopg)?://", "postgresql+psycopg://", data["DATABASE_URL"])
    if url.startswith("sqlite:///"):
        url = f"sqlite+pysqlite3:///{folder / url.removeprefix('sqlite:///')}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # people's conversations are in it
    data["DATABASE_URL"] = url
    if data["PORT"] and data["BASE_URL"] == Config._declared_fields["BASE_URL"].load_default:
        data["BASE_URL"] = f"http://127.0.0.1:{data['PORT']}"
    data["ACCOUNT_URL"] = data["ACCOUNT_URL"] or f"{data['BASE_URL'].rstrip('/')}/account/"
    data["SECRET_KEY_PREVIOUS"] = previous_secrets(data["SECRET_KEY_PREVIOUS"])
    data["CORS_ORIGINS"] = origins(data["CORS_ORIGINS"])
    data["INGEST_HOSTS"] = data["INGEST_HOSTS"].lower().replace(",", " ").split()
    for name in MODEL_LISTS:
        data[name] = models(data[name])
    return data


def load(environ: Mapping[str, str] | None = None, env_file: Path | None = None) -> dict[str, Any]:
    """Read and check all settings.

    Raises BadSettings (exit code 78) after writing one line for each reason to standard error.
    """
    given = _from_environment(environ, env_file)
    schema = ENVIRONMENTS.get(given.get("APP_ENV", "development").lower(), Config)
    try:
        return _resolve(schema().load(given))
    except ValidationError as error:
        lines = [f"{name}: {' '.join(map(str, reasons))}" for name, reasons in error.messages_dict.items()]
    except OSError as error:
        lines = [f"INSTANCE_PATH: {error.filename} cannot be written: {error.strerror}."]
    print("\n".join(lines), file=sys.stderr)
    raise BadSettings(lines)


def listen_address(settings: Mapping[str, Any]) -> tuple[str, int]:
    """Where the server listens: the host and port of an http BASE_URL, or PORT; behind https, on loopback."""
    url = urlsplit(settings["BASE_URL"])
    if url.scheme == "https":
        return "127.0.0.1", settings["PORT"] or 8000
    return url.hostname or "127.0.0.1", settings["PORT"] or url.port or 80
