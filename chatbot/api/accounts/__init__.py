"""Routes of accounts, their sessions, their API keys and their budgets."""

from . import administration, api_keys, auth, budgets, client_tokens, mail_tokens, privacy, sessions

BLUEPRINTS = (
    auth.blueprint,
    privacy.blueprint,
    mail_tokens.blueprint,
    sessions.blueprint,
    api_keys.blueprint,
    budgets.blueprint,
    client_tokens.blueprint,
    administration.blueprint,
)
