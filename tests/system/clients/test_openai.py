"""OpenAI's own client in Python, unpatched, against a really running server."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from tests.support.processes import Server
from tests.system.clients.samples import AGAIN, ANSWER, EMBEDDER, MODELS, NEXT_ANSWER, WEATHER, City, weather

MODEL = MODELS[-1]
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture
def client(address: str, named_token: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=address, api_key=named_token) as client:
        yield client


def newest(server: Server, token: str) -> str:
    items = server.call("GET", "/api/chat-history/?order=desc&limit=1", token=token)[2]["items"]
    return items[0]["bot_response"] if items else ""


def test_answers_whole_and_streamed(client: openai.OpenAI, named_server: Server, named_token: str) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=HELLO)
    assert whole.choices[0].message.content == ANSWER
    assert (whole.choices[0].finish_reason, whole.usage.completion_tokens) == ("stop", 3)
    assert newest(named_server, named_token) == ""
    pieces = list(
        client.chat.completions.create(
            model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}, store=True
        )
    )
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == ANSWER
    assert pieces[-1].usage.total_tokens == pieces[-1].usage.prompt_tokens + 3
    assert newest(named_server, named_token) == ANSWER


def test_lists_models_and_raises_its_own_errors(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [*MODELS, EMBEDDER]
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


@pytest.mark.parametrize("stream", [False, True])
def test_calls_tools_and_sends_all_back(client: openai.OpenAI, stream: bool) -> None:
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


# As programs keep an answer: the object, or a dictionary of it.
KEPT: dict[str, Callable[[Any], Any]] = {
    "object": lambda message: message,
    "model_dump": lambda message: message.model_dump(),
    "without None": lambda message: message.model_dump(exclude_none=True),
    "to_dict": lambda message: message.to_dict(),
    "JSON": lambda message: json.loads(message.to_json()),
}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of `parsed`, which the client declares as None
@pytest.mark.parametrize("keep", KEPT.values(), ids=KEPT)
def test_every_answer_can_be_sent_back(client: openai.OpenAI, keep: Callable[[Any], Any]) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": HELLO}
    tools = [openai.pydantic_function_tool(City, name="weather")]
    completions = client.chat.completions
    found = [
        completions.create(**asked),
        completions.create(**asked, tools=[WEATHER]),
        completions.parse(**asked, tools=tools),
        completions.parse(**asked, response_format=City),
        final(client, **asked),
        final(client, **asked, tools=tools),
        final(client, **asked, response_format=City),
    ]
    for message in (completion.choices[0].message for completion in found):
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": weather(**json.loads(call.function.arguments))}
            for call in message.tool_calls or ()
        ]
        prompt = [*HELLO, keep(message), *results, AGAIN]
        assert completions.create(model=MODEL, messages=prompt).choices[0].message.content == NEXT_ANSWER


def final(client: openai.OpenAI, **asked: Any) -> Any:
    with client.chat.completions.stream(**asked) as events:
        return events.get_final_completion()


@pytest.mark.parametrize("model", MODELS)
def test_parses_structured_answers(client: openai.OpenAI, model: str) -> None:
    asked: dict[str, Any] = {"model": model, "messages": HELLO, "response_format": City}
    for found in (client.chat.completions.parse(**asked), final(client, **asked)):
        assert found.choices[0].message.parsed == City(city="Paris")


def test_gets_vectors(client: openai.OpenAI) -> None:
    found = client.embeddings.create(model=EMBEDDER, input=["bees dance", "bees dance"])
    assert found.data[0].embedding == found.data[1].embedding
    assert len(found.data[0].embedding) == 16
