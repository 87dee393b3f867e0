"""Names of adapters. One line each; the module is imported on first use.

Other packages add theirs by an entry point in the group `chatbot.llms`, `chatbot.embedders` and so on.
"""

from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from .errors import MissingLibrary, UnknownAdapter

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
ADAPTERS: dict[str, dict[str, str]] = {
    "llms": {
        "openai": "chatbot.rag.llms.openai:OpenAILLM",
        "memory": "chatbot.rag.llms.memory:MemoryLLM",
    },
    "embedders": {
        "wordllama": "chatbot.rag.embedders.wordllama:WordLlamaEmbedder",
        "openai": "chatbot.rag.embedders.openai:OpenAIEmbedder",
        "sentence-transformers": "chatbot.rag.embedders.sentence_transformers:SentenceTransformersEmbedder",
        "memory": "chatbot.rag.embedders.memory:MemoryEmbedder",
    },
    "stores": {
        "faiss": "chatbot.rag.stores.faiss:FaissStore",
        "pgvector": "chatbot.rag.stores.pgvector:PgvectorStore",
        "pinecone": "chatbot.rag.stores.pinecone:PineconeStore",
        "memory": "chatbot.rag.stores.memory:MemoryStore",
    },
    "lexical": {
        "tantivy": "chatbot.rag.lexical.tantivy:TantivyIndex",
    },
    "rerankers": {
        "http": "chatbot.rag.rerankers.http:HttpReranker",
    },
    "loaders": {
        "text/plain": "chatbot.rag.loaders.text:TextLoader",
        "text/markdown": "chatbot.rag.loaders.markdown:MarkdownLoader",
        "text/html": "chatbot.rag.loaders.html:HtmlLoader",
        "text/csv": "chatbot.rag.loaders.csv:CsvLoader",
        "application/pdf": "chatbot.rag.loaders.pdf:PdfLoader",
        DOCX: "chatbot.rag.loaders.docx:DocxLoader",
    },
}


# Adapters of ours whose library is not among the requirements, and the name under which it is imported.
LIBRARIES = {"sentence-transformers": "sentence_transformers", "pinecone": "pinecone"}


def names(kind: str) -> list[str]:
    """List the adapters of a kind (`llms`, `stores` ...), ours first."""
    return [*ADAPTERS[kind], *(point.name for point in entry_points(group=f"chatbot.{kind}"))]


def require(name: str) -> None:
    """Raise MissingLibrary when an adapter needs a library that is not there; nothing is imported."""
    if name in LIBRARIES and find_spec(LIBRARIES[name]) is None:
        raise MissingLibrary(f"The adapter {name!r} needs a library: pip install {name}")


def load(kind: str, name: str) -> Any:
    """Return the class of an adapter.

    Raises UnknownAdapter for an unregistered name, MissingLibrary when its library is not there.
    """
    path = ADAPTERS[kind].get(name) or next(
        (point.value for point in entry_points(group=f"chatbot.{kind}", name=name)), None
    )
    if path is None:
        raise UnknownAdapter(f"There is no adapter {name!r} among the {kind}; known: {', '.join(names(kind))}.")
    require(name)
    module, _, attribute = path.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise MissingLibrary(f"The adapter {name!r} needs a library: pip install {error.name}") from error
