"""Routes in the shape of OpenAI's API."""

from . import completions, embeddings, models

BLUEPRINTS = (completions.blueprint, models.blueprint, embeddings.blueprint)
