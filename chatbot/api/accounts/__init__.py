"""Routes of accounts, their sessions and their API keys."""

from . import api_keys, auth, sessions

BLUEPRINTS = (auth.blueprint, sessions.blueprint, api_keys.blueprint)
