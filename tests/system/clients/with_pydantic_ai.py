"""pydantic-ai's `OpenAIChatModel`: ai.pydantic.dev, "OpenAI-compatible Models", "Output" and "Messages"."""

import asyncio
from typing import Any

from pydantic_ai import Agent, BinaryContent, ModelMessagesTypeAdapter, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.system.clients.samples import ADDRESS, KEY, City, only, weather

FORMS = (City, ToolOutput(City), NativeOutput(City), PromptedOutput(City))


def ask(model: str) -> dict[str, Any]:
    """Return the answers of each step."""
    return asyncio.run(converse(OpenAIChatModel(model, provider=OpenAIProvider(base_url=ADDRESS, api_key=KEY))))


async def converse(model: OpenAIChatModel) -> dict[str, Any]:
    """Return the answers of each step."""
    agent = Agent(model, instructions="Be brief.")
    calling = Agent(model, tools=[weather])
    first = await agent.run("hello")
    kept = ModelMessagesTypeAdapter.validate_json(first.all_messages_json())
    called = await calling.run("hello")
    forms = [(await Agent(model, output_type=form).run("hello")).output for form in FORMS]
    partial = [await stream_form(Agent(model, output_type=form)) for form in FORMS]
    both = await Agent(model, output_type=ToolOutput(City), tools=[weather]).run("hello")
    picture = BinaryContent(b"\x89PNG\r\n\x1a\n", media_type="image/png")
    return {
        "chat": first.output,
        "stream": await stream_text(agent),
        "second turn": (await agent.run("again", message_history=kept)).output,
        "tools": called.output,
        "streamed tools": await stream_text(calling),
        "turn after tools": (await agent.run("again", message_history=called.all_messages())).output,
        "structured": only([*forms, both.output]).model_dump(),
        "streamed structured": only(partial).model_dump(),
        "usage": first.usage.output_tokens,
        "picture": (await agent.run(["hello", picture])).output,
    }


async def stream_text(agent: Agent[None, str]) -> str:
    """Return the text of a stream."""
    async with agent.run_stream("hello") as result:
        return "".join([piece async for piece in result.stream_text(delta=True)])


async def stream_form(agent: Agent[None, City]) -> City:
    """Return the last state of a form that is filled in piece by piece."""
    async with agent.run_stream("hello") as result:
        return [form async for form in result.stream_output()][-1]
