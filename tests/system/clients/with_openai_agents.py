"""openai-agents on chat completions: openai.github.io/openai-agents-python, "Models" and "Running agents"."""

import asyncio
from typing import Any

from agents import Agent, OpenAIChatCompletionsModel, Runner, SQLiteSession, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

from tests.system.clients.samples import ADDRESS, AGAIN, KEY, City, only, weather

set_tracing_disabled(True)
TOOL = function_tool(weather)


def ask(model: str) -> dict[str, Any]:
    """Return the answers of each step."""
    return asyncio.run(converse(model))


async def converse(name: str) -> dict[str, Any]:
    """Return the answers of each step."""
    async with AsyncOpenAI(base_url=ADDRESS, api_key=KEY) as client:
        model = OpenAIChatCompletionsModel(model=name, openai_client=client)
        agent = Agent(name="Plain", instructions="Be brief.", model=model)
        calling = Agent(name="Calling", instructions="Be brief.", model=model, tools=[TOOL])
        formed = Agent(name="Formed", model=model, tools=[TOOL], output_type=City)
        desk = Agent(name="Desk", model=model, handoffs=[agent])
        session = SQLiteSession("kept")
        await Runner.run(calling, "hello", session=session)
        first = await Runner.run(agent, "hello")
        called = await Runner.run(calling, "hello")
        streamed = await stream(calling)
        after = only([await go_on(agent, result) for result in (called, streamed)])
        return {
            "chat": first.final_output,
            "stream": (await stream(agent)).final_output,
            "second turn": await go_on(agent, first),
            "tools": called.final_output,
            "streamed tools": streamed.final_output,
            "turn after tools": after,
            "structured": (await Runner.run(formed, "hello")).final_output.model_dump(),
            "streamed structured": (await stream(formed)).final_output.model_dump(),
            "session": (await Runner.run(agent, "again", session=session)).final_output,
            "handoff": (await Runner.run(desk, "hello")).last_agent.name,
            "usage": first.raw_responses[0].usage.output_tokens,
        }


async def stream(agent: Agent[Any]) -> Any:
    """Return the result of a run after its events are read."""
    result = Runner.run_streamed(agent, "hello")
    assert [event async for event in result.stream_events()]
    return result


async def go_on(agent: Agent[Any], result: Any) -> str:
    """Return the answer to a message that follows a run."""
    return str((await Runner.run(agent, [*result.to_input_list(), AGAIN])).final_output)
