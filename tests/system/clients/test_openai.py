"""OpenAI's own clients and two that build on them, unpatched, against a really running server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pydantic
import pytest
from langchain_core.messages import ToolMessage
from langchain_openai import ChatOpenAI

from tests.support.processes import ROOT, UNMEASURED, Server

MODEL = "gpt-3.5-turbo"
EMBEDDER = "text-embedding-3-small"  # the server has a key
NODE_MODULES = ROOT / "tests/node/node_modules"
HELLO = [{"role": "user", "content": "hello"}]
ANSWER = "You said: hello"


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    return server.sign_in("client")


@pytest.fixture
def client(server: Server, token: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key=token)


def newest(server: Server, token: str) -> str:
    items = server.call("GET", "/api/chat-history/?order=desc&limit=1", token=token)[2]["items"]
    return items[0]["bot_response"] if items else ""


def test_openai_in_python_answers_whole_and_streamed(client: openai.OpenAI, server: Server, token: str) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=HELLO)
    assert whole.choices[0].message.content == ANSWER
    assert (whole.choices[0].finish_reason, whole.usage.completion_tokens) == ("stop", 3)
    assert newest(server, token) == ""
    pieces = list(
        client.chat.completions.create(
            model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}, store=True
        )
    )
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == ANSWER
    assert pieces[-1].usage.total_tokens == pieces[-1].usage.prompt_tokens + 3
    assert newest(server, token) == ANSWER


def test_openai_in_python_lists_models_and_raises_its_own_errors(client: openai.OpenAI, server: Server) -> None:
    assert [model.id for model in client.models.list()] == [MODEL, EMBEDDER]
    assert client.models.retrieve(MODEL).object == "model"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-9", messages=HELLO)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model=MODEL, messages=HELLO, n=2)
    assert bad.value.param == "n"
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=client.base_url, api_key="nonsense").models.list()
    with pytest.raises(openai.APIError, match="broke off"):
        list(
            client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "[[cut]]"}], stream=True)
        )


def test_what_the_caller_asks_for_reaches_the_model(client: openai.OpenAI, upstream) -> None:
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "one"},
                {"role": "assistant", "content": "1"}, {"role": "user", "content": [{"type": "text", "text": "two"}]}]  # fmt: skip
    client.chat.completions.create(
        model=MODEL, messages=messages, temperature=0, max_tokens=9, stop=["."], seed=1, top_p=0.5
    )
    sent = upstream.log()[-1]["request"]
    assert [(m["role"], m["content"]) for m in sent["messages"]] == [
        ("system", "Be brief."), ("user", "one"), ("assistant", "1"), ("user", "two"),
    ]  # fmt: skip
    assert {name: sent[name] for name in ("temperature", "max_tokens", "stop", "seed", "top_p")} == {
        "temperature": 0, "max_tokens": 9, "stop": ["."], "seed": 1, "top_p": 0.5,
    }  # fmt: skip
    client.chat.completions.create(model=MODEL, messages=HELLO, max_completion_tokens=10_000)
    assert upstream.log()[-1]["request"]["max_tokens"] == 150  # what the operator allows


class City(pydantic.BaseModel):
    """A form for answers."""

    city: str


WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.mark.parametrize("stream", [False, True])
def test_openai_in_python_calls_tools_and_sends_all_back(client: openai.OpenAI, stream: bool) -> None:
    messages: list[Any] = [*HELLO]
    asked: dict[str, Any] = {"model": MODEL, "messages": messages, "tools": [WEATHER]}
    if stream:
        with client.chat.completions.stream(**asked) as events:
            choice = events.get_final_completion().choices[0]
    else:
        choice = client.chat.completions.create(**asked).choices[0]
    [call] = choice.message.tool_calls
    assert (choice.finish_reason, call.id, call.function.name) == ("tool_calls", "call_1", "weather")
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    messages += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    answer = client.chat.completions.create(**asked).choices[0].message
    assert answer.content == "The tool said: sunny"
    messages += [answer, {"role": "user", "content": "and then?"}]
    client.chat.completions.create(model=MODEL, messages=messages)


def test_openai_in_python_parses_structured_answers(client: openai.OpenAI) -> None:
    found = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=City)
    assert found.choices[0].message.parsed == City(city="Paris")


def test_langchain_calls_tools_and_parses_structured_answers(server: Server, token: str) -> None:
    model = ChatOpenAI(model=MODEL, base_url=f"http://127.0.0.1:{server.port}/v1", api_key=token)
    calling = model.bind_tools([WEATHER])
    called = calling.invoke("hello")
    assert [(call["name"], call["args"]) for call in called.tool_calls] == [("weather", {"city": "Paris"})]
    assert sum((list(piece.tool_calls) for piece in calling.stream("hello")), [])
    results = [("user", "hello"), called, ToolMessage("sunny", tool_call_id=called.tool_calls[0]["id"])]
    assert calling.invoke(results).content == "The tool said: sunny"
    assert model.with_structured_output(City, method="function_calling").invoke("hello") == City(city="Paris")


def test_openai_in_node(server: Server, token: str) -> None:
    assert NODE_MODULES.exists(), "run `make test`, which installs it"
    script = """
        import OpenAI from "openai";
        const client = new OpenAI({ baseURL: process.argv[1], apiKey: process.argv[2] });
        const asked = { model: "gpt-3.5-turbo", messages: [{ role: "user", content: "hello" }] };
        console.log((await client.chat.completions.create(asked)).choices[0].message.content);
        let text = "";
        for await (const piece of await client.chat.completions.create({ ...asked, stream: true })) {
          text += piece.choices[0]?.delta?.content ?? "";
        }
        console.log(text);
        const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }];
        const called = (await client.chat.completions.create({ ...asked, tools })).choices[0].message;
        const result = { role: "tool", tool_call_id: called.tool_calls[0].id, content: "sunny" };
        const messages = [...asked.messages, called, result];
        console.log((await client.chat.completions.create({ ...asked, tools, messages })).choices[0].message.content);
        const runner = client.chat.completions.stream({ ...asked, tools });
        console.log((await runner.finalMessage()).tool_calls[0].function.arguments);
        for await (const model of await client.models.list()) console.log(model.id);
        await client.chat.completions.create({ ...asked, model: "gpt-9" }).catch((error) => console.log(error.status, error.code));
    """
    address = f"http://127.0.0.1:{server.port}/v1"
    node = Path(sys.executable).with_name("node")
    command = [str(node), "--input-type=module", "-e", script, address, token]
    # node is started by a Python script, which would measure everything below its folder as never run.
    home = NODE_MODULES.parent
    env = {**os.environ, **UNMEASURED}
    done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == [
        *(ANSWER, ANSWER, "The tool said: sunny", '{"city": "Paris"}', MODEL, EMBEDDER, "404 model_not_found")
    ], done.stderr


def test_llm_command(server: Server, token: str, tmp_path: Path) -> None:
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: ours\n  model_name: {MODEL}\n  api_base: http://127.0.0.1:{server.port}/v1\n"
        "  api_key_name: ours\n"
    )
    # The weights of the embedded model come in a plug-in of this command, whose own library is not installed.
    environment = {**os.environ, "LLM_USER_PATH": str(tmp_path), "LLM_LOAD_PLUGINS": ""}
    llm = str(Path(sys.executable).with_name("llm"))
    for extra in ([], ["--no-stream"]):
        command = [llm, "-m", "ours", "--key", token, *extra, "hello"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout.strip() == ANSWER, done.stderr


def test_langchain(server: Server, token: str) -> None:
    model = ChatOpenAI(model=MODEL, base_url=f"http://127.0.0.1:{server.port}/v1", api_key=token)
    answer = model.invoke("hello")
    assert (answer.content, answer.usage_metadata["output_tokens"]) == (ANSWER, 3)
    assert "".join(piece.content for piece in model.stream("hello")) == ANSWER


def test_openai_in_python_gets_vectors(client: openai.OpenAI) -> None:
    found = client.embeddings.create(model=EMBEDDER, input=["bees dance", "bees dance"])
    assert found.data[0].embedding == found.data[1].embedding
    assert len(found.data[0].embedding) == 16
