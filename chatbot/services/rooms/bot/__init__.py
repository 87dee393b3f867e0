"""The bot of rooms: questions to it, and its answers, each a turn of its asker."""
