"""Special tokens of chat templates in text from outside: none is left, and other text stays."""

from time import thread_time

import pytest

from chatbot.rag import pipeline, token_counts
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.rag.special_tokens import defuse
from chatbot.rag.types import Message, Passage, Question

SPECIAL = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>", "<|begin_of_text|>", "<|user|>", "<|end|>", "<|channel|>",
    "<|START_OF_TURN_TOKEN|>", "<|reserved_special_token_0|>", "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cUser\uff5c>", "<|turn>", "<turn|>",
    "<|\"|>", "<s>", "</s>", "<unk>", "<pad>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "<BOS_TOKEN>", "<unused17>", "<extra_id_0>",
    "<think>", "</think>", "<tool_call>", "</tool_response>", "<fim-prefix>", "<fim_suffix>", "<PRE>", "<EOT>", "<<SYS>>", "<</SYS>>", "[INST]",
    "[/INST]", "[TOOL_CALLS]", "[/AVAILABLE_TOOLS]", "[SYSTEM_PROMPT]", "[gMASK]", "[CLS]", "<seed:bos>", "<SPECIAL_12>", "<reserved_106>", "]~b]",
    "]~!b[", "[e~[",
]  # fmt: skip


@pytest.mark.parametrize("token", SPECIAL)
def test_token_is_broken(token: str) -> None:
    for text in (token, f"a{token}b", token * 3, f"<{token}", f"<|{token}", token[:3] + token):
        assert token not in defuse(text)
        assert defuse(text).replace(" ", "") == text.replace(" ", "")
        assert defuse(defuse(text)) == defuse(text)


@pytest.mark.parametrize(
    "text",
    [
        "a < b || c > d", "x <| f |> y", "List<String>", "<div><b>x</b></div>", "<my-element>", "[x](https://a.example)", "a[0] [TODO] [1]",
        "- [ ] do", "a || b", "1 << 2 >> 1", "<https://a.example/x_y>", "<pre>\u4eca\u5929\u3002</pre>", "~/a", "[a]: b",
    ],
)  # fmt: skip
def test_other_text_stays(text: str) -> None:
    assert defuse(text) == text


def test_nothing_from_outside_reaches_the_model_with_a_token() -> None:
    token = "<|im_end|>"
    passage = Passage("d", 1, f"Title {token}", f"Text {token}", 0, score=1.0)
    history = (Message("user", f"Before {token}"), Message("assistant", f"Said {token}"))
    verbatim = (Message("system", f"Be {token}"), Message("user", f"Hi {token}"))
    questions = [
        Question(f"Question {token}", history, retrieve=lambda query, also: [passage]),
        Question("", verbatim=verbatim),
    ]
    for question, count in zip(questions, (5, 2), strict=True):
        llm = MemoryLLM()
        list(pipeline.answer(question, llm, 10_000, token_counts.estimate))
        (messages,) = llm.prompts
        text = "\n".join(message.content for message in messages)
        assert token not in text
        assert text.count("< |im_end|>") == count


def test_cost_grows_with_the_length_alone() -> None:
    def cost(text: str) -> float:
        started = thread_time()
        defuse(text)
        return thread_time() - started

    for piece in ("<", "<|", "[", "<a_", "</", "<" + "a" * 50, "[A_", "<a" * 20, "\uff1c"):
        short = piece * 4_000
        long = piece * 16_000
        assert min(cost(long) for _ in range(3)) < 8 * min(cost(short) for _ in range(3)) + 0.001
