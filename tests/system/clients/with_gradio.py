"""gradio's `load_chat`, with histories as its chat window sends them: gradio.app, "Using LLMs"."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio
from PIL import Image

from tests.system.clients.samples import ADDRESS, ANSWER, KEY


def ask(model: str) -> dict[str, Any]:
    """Return the answers of each step."""
    options = {"model": model, "token": KEY, "file_types": ["text_encoded", "image"]}
    streamed = gradio.load_chat(f"{ADDRESS}/", **options)
    whole = gradio.load_chat(f"{ADDRESS}/", **options, streaming=False)
    earlier = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": ANSWER}]
    history = streamed.chatbot.preprocess(streamed.chatbot.postprocess(earlier))
    with TemporaryDirectory() as name:
        note = Path(name, "note.txt")
        note.write_text("A note.")
        picture = Path(name, "picture.png")
        Image.new("RGB", (2, 2)).save(picture)
        *_, files = streamed.fn({"text": "look", "files": [str(note), str(picture)]}, history)
    return {
        "chat": whole.fn({"text": "hello", "files": []}, []),
        "stream": list(streamed.fn({"text": "hello", "files": []}, []))[-1],
        "second turn": list(streamed.fn({"text": "again", "files": []}, history))[-1],
        "files": files.splitlines(),
    }
