"""litellm with the prefix `openai/`: docs.litellm.ai, "OpenAI-Compatible Endpoints"."""

from typing import Any

import litellm

from tests.system.clients.samples import ADDRESS, AGAIN, EMBEDDER, HELLO, KEY, WEATHER, City, only, weather


def ask(model: str) -> dict[str, Any]:
    """Return the answers of each step."""
    options = {"model": f"openai/{model}", "api_base": ADDRESS, "api_key": KEY}
    first = litellm.completion(messages=HELLO, **options).choices[0].message
    pieces = list(litellm.completion(messages=HELLO, stream=True, stream_options={"include_usage": True}, **options))
    rebuilt = litellm.stream_chunk_builder(pieces, messages=HELLO)
    kept = [first, first.model_dump(), rebuilt.choices[0].message]
    following = only(say([*HELLO, message, AGAIN], options) for message in kept)
    called = litellm.completion(messages=HELLO, tools=[WEATHER], tool_choice="auto", **options).choices[0].message
    streamed = list(litellm.completion(messages=HELLO, tools=[WEATHER], stream=True, **options))
    built = litellm.stream_chunk_builder(streamed, messages=HELLO).choices[0].message
    results = [
        [*HELLO, message, result(called)] for message in (called, called.model_dump(), built, built.model_dump())
    ]
    answer = only(say(messages, options, tools=[WEATHER]) for messages in results)
    form = litellm.completion(messages=HELLO, response_format=City, **options).choices[0].message.content
    partial = litellm.completion(messages=HELLO, response_format=City, stream=True, **options)
    listed = litellm.embedding(model=f"openai/{EMBEDDER}", input=["bees", "ants"], api_base=ADDRESS, api_key=KEY)
    return {
        "chat": first.content,
        "stream": text(pieces),
        "second turn": following,
        "tools": answer,
        "streamed tools": say(results[2], options),
        "turn after tools": say([*results[1], AGAIN], options),
        "structured": City.model_validate_json(form).model_dump(),
        "streamed structured": City.model_validate_json(text(partial)).model_dump(),
        "usage": [rebuilt.usage.completion_tokens, pieces[-1].usage.completion_tokens],
        "vectors": [len(item["embedding"]) for item in listed.data],
        "unknown model": status({**options, "model": "openai/gpt-9"}),
    }


def say(messages: list[Any], options: dict[str, Any], **parameters: Any) -> str:
    """Return the text of the answer to a prompt."""
    text: str = litellm.completion(messages=messages, **parameters, **options).choices[0].message.content
    return text


def text(pieces: Any) -> str:
    """Return the text of a stream."""
    return "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)


def result(message: Any) -> dict[str, str]:
    """Return the message with the result of the only call."""
    [call] = message.tool_calls
    city = City.model_validate_json(call.function.arguments).city
    return {"role": "tool", "tool_call_id": call.id, "name": call.function.name, "content": weather(city)}


def status(options: dict[str, Any]) -> int:
    """Return the status of the error for a model that does not exist."""
    try:
        litellm.completion(messages=HELLO, **options)
    except litellm.NotFoundError as error:
        return int(error.status_code)
    return 200
