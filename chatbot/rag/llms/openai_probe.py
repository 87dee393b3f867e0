"""Whether a server of the chat-completions protocol answers at its address: asked without a token that costs."""

import contextlib
from collections.abc import Mapping

import httpx2

from chatbot.rag.errors import (
    AdapterError,
    ModelUnavailable,
    UpstreamBusy,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)

from .openai_errors import NO_COMPLETIONS, status_error, translate


def probe(client: httpx2.Client, base_url: str, headers: Mapping[str, str], model: str) -> None:
    """Ask a server for its models, and if it lists none, for an answer to no message.

    Raises UpstreamUnreachable, UpstreamTimeout, UpstreamDenied, UpstreamFailed, UpstreamBusy;
    ModelUnavailable where the address has no chat completions.
    """
    probe_headers = {**headers, "Accept": "application/json"}
    error = _ask(client, client.build_request("GET", f"{base_url}/models", headers=probe_headers), model)
    if isinstance(error, ModelUnavailable | UpstreamRefused):
        empty_request = {"model": model, "messages": [], "max_tokens": 1}
        request = client.build_request(
            "POST", f"{base_url}/chat/completions", headers=probe_headers, json=empty_request
        )
        error = _ask(client, request, model)
        if isinstance(error, UpstreamRefused | UpstreamBusy):  # of no message: there it takes others
            return
    if error is not None:
        raise error


def _ask(client: httpx2.Client, request: httpx2.Request, model: str) -> AdapterError | None:
    """Return the error of a request, or None; nothing of the answer's body is read where it is a success."""
    try:
        response = client.send(request, stream=True)
    except httpx2.TimeoutException:
        return UpstreamTimeout("The model's server did not begin to answer in time.")
    except httpx2.HTTPError:
        return UpstreamUnreachable("The model's server cannot be reached.")
    with contextlib.closing(response):
        if not response.is_success:
            return translate(status_error(response), model)
        is_json = "json" in response.headers.get("content-type", "")
    return None if is_json else ModelUnavailable(NO_COMPLETIONS)  # such as the page of a web application
