"""LlamaIndex's `OpenAILike`: developers.llamaindex.ai, "OpenAILike" and "Using LLMs"."""

import asyncio
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

from tests.system.clients.samples import ADDRESS, KEY, City, only, weather

HELLO = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content="hello")]
AGAIN = ChatMessage(role="user", content="again")
TOOL = FunctionTool.from_defaults(weather)


def ask(model: str) -> dict[str, Any]:
    """Return the answers of each step."""
    options = {"model": model, "api_base": ADDRESS, "api_key": KEY, "is_chat_model": True, "context_window": 4096}
    llm = OpenAILike(**options)
    calling = OpenAILike(**options, is_function_calling_model=True)
    formed = OpenAILike(**options, should_use_structured_outputs=True)
    first = llm.chat(HELLO)
    pieces = list(llm.stream_chat(HELLO))
    following = only(say(llm, [*HELLO, message, AGAIN]) for message in (first.message, pieces[-1].message))
    called = call(calling.chat_with_tools([TOOL], chat_history=HELLO), calling)
    streamed = call(list(calling.stream_chat_with_tools([TOOL], chat_history=HELLO))[-1], calling)
    forms = [one.as_structured_llm(City).chat(HELLO).raw for one in (calling, formed)]
    partial = [list(one.as_structured_llm(City).stream_chat(HELLO))[-1].raw for one in (calling, formed)]
    return {
        "chat": first.message.content,
        "stream": "".join(piece.delta or "" for piece in pieces),
        "second turn": following,
        "tools": say(calling, called),
        "streamed tools": say(calling, streamed),
        "turn after tools": say(llm, [*called, ChatMessage(role="assistant", content="Sunny."), AGAIN]),
        "structured": only(forms).model_dump(),
        "streamed structured": only(partial).model_dump(),
        "completion": llm.complete("hello").text,
        "predict and call": str(calling.predict_and_call([TOOL], "hello")),
        "agent": asyncio.run(run_agent(calling)),
    }


def say(llm: OpenAILike, messages: list[ChatMessage]) -> str:
    """Return the text of the answer to a prompt."""
    return str(llm.chat(messages).message.content)


def call(response: Any, llm: OpenAILike) -> list[ChatMessage]:
    """Return the prompt that follows a call: the call and its result."""
    [made] = llm.get_tool_calls_from_response(response)
    result = weather(**made.tool_kwargs)
    return [
        *HELLO,
        response.message,
        ChatMessage(role="tool", content=result, additional_kwargs={"tool_call_id": made.tool_id}),
    ]


async def run_agent(llm: OpenAILike) -> str:
    """Return the answer of an agent."""
    return str(await FunctionAgent(tools=[TOOL], llm=llm).run("hello"))
