"""Chats in other protocols: prompts of OpenAI's clients, chats of user-interface libraries."""
