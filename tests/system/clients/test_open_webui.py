"""The requests of Open WebUI 0.12, replayed: it sends all its tools with each message.

Its interface cannot be run here; the requests are those that `routers/openai.py`, `routers/tasks.py` and
`utils/middleware.py` of its package `open-webui` make, after it has taken out its own members (`features`, `tool_ids`,
`metadata`, ...).
"""

import json
from typing import Any

import pytest

from tests.support.processes import Server, Upstream
from tests.system.clients.samples import AGAIN, ANSWER, EMBEDDER, MODELS, NEXT_ANSWER

# Built-in tools that an administrator's chat has, and their parameters.
TOOL_LINES = """
get_current_timestamp
calculate_timestamp days_ago weeks_ago months_ago years_ago
ask_user questions
list_knowledge_bases count skip
search_knowledge_bases query count skip
query_knowledge_bases query count
grep_knowledge_files pattern knowledge_id
search_knowledge_files query knowledge_id count skip
query_knowledge_files query knowledge_ids count
view_knowledge_file file_id offset max_chars
search_chats query count start_timestamp end_timestamp
view_chat chat_id
search_memories query count
add_memory content
replace_memory_content memory_id content
delete_memory memory_id
list_memories
search_web query count
fetch_url url
execute_code code
search_notes query count
view_note note_id
write_note title content
replace_note_content note_id content title
search_channels query count
search_channel_messages query count
view_channel_thread parent_message_id
view_channel_message message_id
create_tasks tasks
update_task id status
create_automation name prompt rrule
update_automation automation_id name prompt rrule
list_automations status count
toggle_automation automation_id
delete_automation automation_id
search_calendar_events query start end count
"""
TOOLS = {name: parameters for name, *parameters in map(str.split, TOOL_LINES.strip().splitlines())}
KINDS: dict[str, dict[str, Any]] = {
    "count": {"type": "integer", "default": 5},
    "skip": {"type": "integer", "default": 0},
    "offset": {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "The first character."},
    "questions": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
    "tasks": {"type": "array", "items": {"type": "object"}},
    "knowledge_ids": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
}
HELLO = {"role": "user", "content": "hello"}
TASKS = (
    "Generate a concise title.",
    "Generate 1-3 broad tags.",
    "Suggest 3-5 follow-up questions.",
    "Generate queries.",
)


def describe(name: str, parameters: list[str]) -> dict[str, Any]:
    """Return a tool as it is sent."""
    properties = {one: {"description": f"The {one}.", **KINDS.get(one, {"type": "string"})} for one in parameters}
    schema = {"type": "object", "properties": properties, "required": parameters[:1]}
    return {
        "type": "function",
        "function": {"name": name, "description": f"Do {name}.\n\n:return: JSON", "parameters": schema},
    }


class OpenWebUI:
    """Open WebUI's side of a connection."""

    def __init__(self, server: Server, token: str, model: str) -> None:
        self._server = server
        self._token = token
        # A model with reasoning, by its name, gets its system message as the developer's.
        role = "developer" if model.startswith("gpt-5") else "system"
        self._system = {"role": role, "content": "Be brief."}
        self._model = model

    def send(self, *messages: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Send a message of a chat with all tools; returns text, calls and usage of the stream."""
        body = {"stream": True, "model": self._model, "messages": [self._system, *messages],
                "stream_options": {"include_usage": True}, "tools": [describe(*tool) for tool in TOOLS.items()], **options}  # fmt: skip
        status, headers, answer = self.call("/v1/chat/completions", body)
        assert (status, headers["content-type"].split(";")[0]) == (200, "text/event-stream"), answer
        *frames, done = [line[6:] for line in answer.decode().splitlines() if line.startswith("data: ")]
        assert done == "[DONE]"
        chunks = [json.loads(frame) for frame in frames]
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
        calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
        text = "".join(delta.get("content") or "" for delta in deltas)
        return {"text": text, "calls": calls, "usage": chunks[-1]["usage"]}

    def run_task(self, prompt: str, **options: Any) -> str:
        """Ask for a title, for tags or the like."""
        body = {"model": self._model, "messages": [{"role": "user", "content": prompt}], "stream": False, **options}
        status, _, answer = self.call("/v1/chat/completions", body)
        assert status == 200, answer
        text: str = answer["choices"][0]["message"]["content"]
        return text

    def call(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, str], Any]:
        headers = {"X-OpenWebUI-User-Name": "Ada", "X-OpenWebUI-User-Email": "ada@example.org"}
        return self._server.call("POST" if body else "GET", path, body, token=self._token, headers=headers)


@pytest.fixture(params=MODELS)
def client(request: pytest.FixtureRequest, named_server: Server, named_token: str) -> OpenWebUI:
    return OpenWebUI(named_server, named_token, request.param)


def test_connection_is_verified_by_its_models(client: OpenWebUI) -> None:
    assert [model["id"] for model in client.call("/v1/models")[2]["data"]] == [*MODELS, EMBEDDER]


def test_chat_with_36_tools_goes_on_after_a_call(client: OpenWebUI, upstream: Upstream) -> None:
    called = client.send(HELLO)
    assert [tool["function"]["name"] for tool in upstream.log()[-1]["request"]["tools"]] == list(TOOLS)
    assert len(TOOLS) == 36
    [call] = called["calls"]
    assert (call["index"], call["function"]["name"]) == (0, "get_current_timestamp")
    kept = {name: call[name] for name in ("id", "type", "function")}
    loop = [HELLO, {"role": "assistant", "content": called["text"], "tool_calls": [kept]},
            {"role": "tool", "tool_call_id": kept["id"], "content": '{"current": 1}'}]  # fmt: skip
    finished = client.send(*loop)
    assert (finished["text"], finished["calls"]) == ('The tool said: {"current": 1}', [])
    assert finished["usage"]["total_tokens"] > finished["usage"]["completion_tokens"] > 0
    answer = {"role": "assistant", "content": finished["text"], "reasoning_content": "Hm."}
    assert client.send(*loop, answer, AGAIN, tools=[])["text"] == NEXT_ANSWER


def test_chat_without_tools_with_an_image_and_with_settings(client: OpenWebUI) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    parts = {"role": "user", "content": [{"type": "text", "text": "hello"}, picture]}
    assert client.send(parts, tools=[])["text"] == ANSWER
    settings = {"temperature": 0.8, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "max_tokens": 20, "seed": 1, "stop": ["?"],
                "frequency_penalty": 0.1, "presence_penalty": 0.1, "repeat_penalty": 1.1, "logit_bias": {"5432": 10},
                "reasoning_effort": "low"}  # fmt: skip
    assert client.send(HELLO, tools=[], **settings)["text"] == ANSWER
    assert client.send(HELLO, tools=[], response_format={"type": "json_object"})["text"] == '{"city": "Paris"}'


def test_answer_is_continued(client: OpenWebUI, upstream: Upstream) -> None:
    assert client.send(HELLO, {"role": "assistant", "content": "You"}, tools=[])["text"] == ANSWER
    assert upstream.log()[-1]["request"]["messages"][-1] == {"role": "assistant", "content": "You"}


@pytest.mark.parametrize("options", [{}, {"max_tokens": 1000}, {"max_completion_tokens": 1000}], ids=str)
def test_titles_tags_and_follow_ups_are_made(client: OpenWebUI, options: dict[str, int]) -> None:
    for task in TASKS:
        prompt = f"### Task:\n{task}\n### Output:\nJSON\n### Chat History:\n<chat_history>\nUSER: hello"
        assert client.run_task(prompt, **options).endswith("USER: hello")


def test_documents_are_embedded(client: OpenWebUI) -> None:
    status, _, answer = client.call("/v1/embeddings", {"input": ["bees", "ants"], "model": EMBEDDER})
    assert status == 200, answer
    assert [len(item["embedding"]) for item in answer["data"]] == [16, 16]
