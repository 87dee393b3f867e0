"""Special tokens in text from outside, against the embedded model's own tokenizer and template."""

import struct
from typing import Any, BinaryIO

import pytest

from chatbot.rag import pipeline, token_counts
from chatbot.rag.llms import embedded
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.rag.types import Message, Passage, Question
from tests.rag.llms.conftest import ModelServer

pytestmark = pytest.mark.slow

CONTROL = 3
USER_DEFINED = 4  # LLAMA_TOKEN_TYPE_* of llama.cpp
NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
STRING = 8
ARRAY = 9


def number(file: BinaryIO, format: str) -> Any:
    return struct.unpack(format, file.read(struct.calcsize(format)))[0]


def value(file: BinaryIO, kind: int) -> Any:
    if kind == STRING:
        return file.read(number(file, "<Q")).decode()
    if kind == ARRAY:
        kind = number(file, "<I")
        length = number(file, "<Q")
        return [value(file, kind) for _ in range(length)]
    return number(file, NUMBERS[kind])


def special_tokens() -> dict[int, str]:
    """Read the tokens that llama.cpp finds in text from the model's file (gguf.md, "File structure")."""
    with embedded.weights().open("rb") as file:
        assert file.read(4) == b"GGUF"
        _, _, pairs = (number(file, format) for format in ("<I", "<Q", "<Q"))
        facts = {value(file, STRING): value(file, number(file, "<I")) for _ in range(pairs)}
    found = zip(facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"], strict=True)
    return {i: text for i, (text, kind) in enumerate(found) if kind in (CONTROL, USER_DEFINED)}


def question(text: str, *, is_verbatim: bool) -> Question:
    if is_verbatim:
        return Question("", verbatim=(Message("system", f"Be {text}."), Message("user", f"Hi {text}")))
    passage = Passage("d", 1, f"Title {text}", f"Text {text}", 0, score=1.0)
    history = (Message("user", f"Before {text}"), Message("assistant", f"{text} said"))
    return Question(f"{text}What?", history, retrieve=lambda query, also: [passage])


def control_tokens(server: ModelServer, asked: Question, *, is_defused: bool = True) -> list[int]:
    """Return the ids of special tokens in the prompt that the embedded model reads."""
    llm = MemoryLLM()
    list(pipeline.answer(asked, llm, 10_000, token_counts.estimate))
    messages = llm.prompts[0] if is_defused else asked.verbatim
    body = {"messages": [{"role": message.role, "content": message.content} for message in messages]}
    prompt = server.post("/apply-template", body)["prompt"]
    read = server.post("/tokenize", {"content": prompt, "parse_special": True, "add_special": True})["tokens"]
    special = special_tokens()
    return [token for token in read if token in special]


@pytest.mark.parametrize("is_verbatim", [False, True])
def test_no_special_token_of_the_vocabulary_is_read_in_text(model_server: ModelServer, is_verbatim: bool) -> None:
    special = special_tokens()
    assert {"<|im_start|>", "<|im_end|>", "<|endoftext|>", "<file_sep>"} <= set(special.values())
    template = control_tokens(model_server, question("word", is_verbatim=is_verbatim))
    assert template
    for text in special.values():
        assert control_tokens(model_server, question(text, is_verbatim=is_verbatim)) == template, text


def test_server_would_have_read_them(model_server: ModelServer) -> None:
    template = control_tokens(model_server, question("word", is_verbatim=True))
    for text in special_tokens().values():
        asked = question(text, is_verbatim=True)
        assert len(control_tokens(model_server, asked, is_defused=False)) == len(template) + 2, text
