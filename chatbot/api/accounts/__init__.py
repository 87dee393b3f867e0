"""Routes of accounts, their sessions and their API keys."""

from . import administration, api_keys, auth, mail_tokens, sessions

BLUEPRINTS = (auth.blueprint, mail_tokens.blueprint, sessions.blueprint, api_keys.blueprint, administration.blueprint)
