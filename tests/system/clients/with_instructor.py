"""instructor, by `from_openai` and `from_provider`, in its modes of tools and of forms: python.useinstructor.com."""

from typing import Any

import instructor
from openai import OpenAI

from tests.system.clients.samples import ADDRESS, AGAIN, HELLO, KEY, City

MODES = (instructor.Mode.TOOLS, instructor.Mode.TOOLS_STRICT, instructor.Mode.JSON, instructor.Mode.JSON_SCHEMA)


def ask(model: str) -> dict[str, Any]:
    """Return the answers of each step."""
    server = OpenAI(base_url=ADDRESS, api_key=KEY)
    answers: dict[str, Any] = {}
    for mode in MODES:
        client = instructor.from_openai(server, mode=mode)
        city, raw = client.create_with_completion(model=model, messages=HELLO, response_model=City)
        partial = list(client.create_partial(model=model, messages=HELLO, response_model=City))[-1]
        kept = {"role": "assistant", "content": city.model_dump_json()}
        following = client.create(model=model, messages=[*HELLO, kept, AGAIN], response_model=City)
        answers[mode.name] = [city.city, partial.city, following.city, raw.usage.completion_tokens > 0]
    provider = instructor.from_provider(f"openai/{model}", base_url=ADDRESS, api_key=KEY)
    answers["from_provider"] = provider.create(messages=HELLO, response_model=City).city
    plain = instructor.from_openai(server).create(model=model, messages=HELLO, response_model=None)
    answers["chat"] = plain.choices[0].message.content
    answers["asks again"] = ask_again(server, model)
    return answers


def ask_again(server: OpenAI, model: str) -> int:
    """Return how many answers are validated until one passes: the first is refused."""
    seen: list[Any] = []

    class Doubted(City):
        def model_post_init(self, _: Any) -> None:
            seen.append(self)
            if len(seen) == 1:
                raise ValueError("Another one, please.")

    instructor.from_openai(server).create(model=model, messages=HELLO, response_model=Doubted, max_retries=2)
    return len(seen)
