"""Routes of rooms."""

from . import events, members, messages, rooms

BLUEPRINTS = (rooms.blueprint, members.blueprint, messages.blueprint, events.blueprint)
