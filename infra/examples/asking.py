"""Asks Burnline what is in force for a model, and tells it what was done about it. Plain Python, nothing to install.

Whoever cannot be asked, and whatever is expired or unknown, is an empty answer: hold what you have.
"""

import http.client
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

#: not let in, cut off before or within the answer, or an answer that cannot be read
FAILURES = (OSError, http.client.HTTPException, ValueError)
NOTHING: dict[str, Any] = {"values": {}, "states": {}, "scopes": {}, "ttl_s": {}, "items": []}


def in_force(address: str, service: str, model: str) -> dict[str, Any]:
    """Ask /api/v1/signals/{service}/{model}; a token is taken from BURNLINE_HTTP_TOKEN."""
    path = "/".join(urllib.parse.quote(part, safe="") for part in (service, model))
    request = urllib.request.Request(f"{address.rstrip('/')}/api/v1/signals/{path}")
    if token := os.environ.get("BURNLINE_HTTP_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except FAILURES:
        return NOTHING


def tell(address: str, change: dict[str, Any]) -> str | None:
    """Send a change to /api/v1/changes; return its name, or None, after saying why, when it is not taken.

    A token is taken from BURNLINE_HTTP_WRITE_TOKEN. Sent again with the same `change_id` it is the same change.
    """
    request = urllib.request.Request(
        f"{address.rstrip('/')}/api/v1/changes", json.dumps(change).encode(), {"Content-Type": "application/json"}
    )
    if token := os.environ.get("BURNLINE_HTTP_WRITE_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(json.load(answer)["change_id"])
    except urllib.error.HTTPError as error:
        sys.stderr.write(f"the change was not taken: {error.read().decode(errors='replace')}\n")
    except FAILURES as error:
        sys.stderr.write(f"the change was not told: {error}\n")
    return None


def signal(answer: dict[str, Any], name: str, scope: str = "") -> dict[str, Any] | None:
    """Return one signal whole, with its inputs and details; None: it is not in force."""
    mine = (each for each in answer["items"] if each["name"] == name and each["scope"] == scope)
    return next((each for each in mine if not each["is_expired"] and each["state"] != "unknown"), None)
