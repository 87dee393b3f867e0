"""The naive version: a synchronous Flask view, the openai package and one INSERT.

Kept to be measured against: `gunicorn --workers 2 --threads 32 bench.plain:app`.
"""

import os
import sqlite3

import openai
from flask import Flask, g, request

app = Flask(__name__)
client = openai.OpenAI()
PATH = os.environ["PLAIN_DATABASE"]
with sqlite3.connect(PATH, timeout=30) as setup:
    setup.execute("CREATE TABLE IF NOT EXISTS chat (id INTEGER PRIMARY KEY, message TEXT, answer TEXT)")
setup.close()


def database() -> sqlite3.Connection:
    """Return this request's connection."""
    if "database" not in g:
        g.database = sqlite3.connect(PATH, timeout=30)
    connection: sqlite3.Connection = g.database
    return connection


@app.teardown_appcontext
def close(_: object) -> None:
    """Close it."""
    if "database" in g:
        g.database.close()


@app.post("/api/chat/")
def chat() -> dict[str, str]:
    """Answer one message and keep it."""
    message = request.get_json()["message"]
    answer = client.chat.completions.create(
        model="gpt-3.5-turbo", max_tokens=150, temperature=0.7, messages=[{"role": "user", "content": message}]
    )
    text = answer.choices[0].message.content or ""
    connection = database()
    connection.execute("INSERT INTO chat (message, answer) VALUES (?, ?)", (message, text))
    connection.commit()
    return {"bot_response": text}


@app.get("/readyz")
def ready() -> dict[str, str]:
    """Answer the benchmark's first question."""
    return {"status": "ok"}
