"""Whether this process can serve."""

import sqlalchemy as sa
from flask import current_app

from chatbot.cluster import get_cluster
from chatbot.database.state import get_database_state
from chatbot.database.transactions import read
from chatbot.errors import ChatbotError
from chatbot.extensions import scheduler
from chatbot.rag.errors import AdapterError
from chatbot.services.chat import execution
from chatbot.services.chat.state import get_chat_state
from chatbot.services.knowledge.search import embeddings
from chatbot.services.knowledge.state import get_knowledge_state

NO_JOBS = "No jobs run in this process, and documents stay queued: start it with `make run` or `gunicorn wsgi:app`."


def checks() -> dict[str, str]:
    """Return `ok` or the fault of each part. Without its database a process serves nothing; without a model, much."""
    database = _describe_database_fault()
    knowledge = _describe_knowledge_fault() if database == "ok" else "not looked at"
    turns_state = "draining" if execution.is_draining() else "ok"
    disk = "The database cannot be written." if get_database_state().full.is_set() else "ok"
    found = {"database": database, "disk": disk, "file": get_database_state().file_check.state}
    found |= {
        "jobs": "ok" if scheduler.running else NO_JOBS,
        "model": _describe_model_faults(),
        "knowledge": knowledge,
        "turns": turns_state,
    }
    cluster = get_cluster(current_app)
    return found if cluster is None else found | {"redis": cluster.state()}


def _describe_database_fault() -> str:
    try:
        with read() as connection:
            connection.execute(sa.select(1))
    except ChatbotError as error:
        return error.detail
    return "ok"


def _describe_model_faults() -> str:
    """Return the faults of the models' servers by the models' names, or `ok`; their addresses are not public."""
    try:
        llm = get_chat_state().llm()
    except AdapterError as error:
        return error.detail
    faults = zip(llm.models, llm.faults(), strict=True)
    return "; ".join(f"{model.name}: {fault.detail}" for model, fault in faults if fault is not None) or "ok"


def _describe_knowledge_fault() -> str:
    """Return the fault of the embedder or the vector store, or the outdated space that is searched; else `ok`."""
    if (fault := get_knowledge_state().embedder_fault) is not None:
        return f"Searched by words alone: {fault}"
    if get_knowledge_state().has_store_failed:
        return "Searched by words alone: the vector store fails."  # its own words may name hosts
    try:
        space = embeddings.find_outdated_space()
    except (ChatbotError, AdapterError) as error:
        return error.detail
    if space is None:
        return "ok"
    return f"Searched are vectors of {space}: `flask knowledge reindex` goes over to the configured embedder."
