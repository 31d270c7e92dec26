"""What the server sends to a model for an ``ai.infer``: the adapter's request, and its key where the model wants it."""

from __future__ import annotations

from typing import Any

KEYS = {
    "openai-chat": ("Authorization", "Bearer {}"),
    "anthropic": ("x-api-key", "{}"),
    "bedrock": ("Authorization", "{}"),
}
"""The header in which a model of that format expects the key, and how."""


def request(url: str, headers: dict[str, Any], model: str, key: str, body: object) -> dict[str, Any]:
    """The keywords for the fake that a script calls: ``url``, ``headers`` and ``body``, as an HTTP fake would see them.

    ``model`` is the format of the model's API, such as "openai-chat", and ``key`` the adapter's key, or "" for none.
    """
    sent = dict(headers)
    if key and model == "gemini":
        url = f"{url}{'&' if '?' in url else '?'}key={key}"
    elif key and model in KEYS:
        name, form = KEYS[model]
        sent[name] = form.format(key)
    return {"url": url, "headers": sent, "body": body}
