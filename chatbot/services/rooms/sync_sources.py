"""All that a user's devices follow: conversations, knowledge and rooms."""

from dataclasses import replace

from chatbot.services.chat import sync_sources as chat

from . import members, message_rows, messages, rows

SOURCES = replace(
    chat.SOURCES,
    loaders={
        **chat.SOURCES.loaders,
        "room": rows.load_all,
        "room_message": message_rows.load_all,
        "membership": members.load_all,
        "read_mark": messages.load_read_marks,
    },
)
