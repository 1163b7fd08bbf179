"""Who may call MoEngage, and in which words it turns others away.

Facts from moengage.com/docs: api/data/data.yaml and data-overview (statuses, types, messages), api/rate-limits (headers).
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from nectorbridge.sandbox.contract import Policy, Reply, Request, json_reply

REQUEST_ID = "sandbox1"
AUTHENTICATION = "Authentication required"
RESET_SECONDS = "5"
KEY_MISMATCH = "App Secret key mismatch. Please login to the dashboard to verify key"


def fail(status: int, kind: str, message: str, **more: Any) -> Reply:
    """Return the documented error envelope."""
    error = {"message": message, "type": kind, "request_id": REQUEST_ID, **more}
    return json_reply(status, {"status": "fail", "error": error})


def too_many() -> Reply:
    """Return the documented 429 with its headers; the reset is in seconds."""
    limits = {"x-ratelimit-limit": "30000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": RESET_SECONDS}
    reply = fail(429, "Rate Limits Exceeded", "Rate limits for customers exceeded. Please Try After Some Time")
    return Reply(reply.status, reply.body, {**reply.headers, **limits})


def credentials(request: Request) -> tuple[str, str] | None:
    """Return the workspace and the key of the Basic header, or None where it has none."""
    scheme, _space, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        pair = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    workspace, colon, key = pair.partition(":")
    return (workspace, key) if scheme == "Basic" and colon else None


def refuse_stranger(request: Request, workspace: str, policy: Policy) -> Reply | None:
    """Return the recorded 401s and 409, or None where header and address name a known workspace and its key."""
    if not request.headers.get("authorization"):
        return fail(401, AUTHENTICATION, "Authentication Header Required")
    pair = credentials(request)
    if pair is None:
        return fail(401, AUTHENTICATION, "No identity information found")
    if not policy.knows(pair[0]):
        return fail(401, AUTHENTICATION, "Invalid APP_ID used in Authentication Header")
    if pair[0] != workspace:
        return fail(409, "Authentication Mismatch", "App key mismatch in params and authentication")
    return None if policy.admits(*pair) else fail(401, AUTHENTICATION, KEY_MISMATCH)


def refuse_content_type(request: Request) -> Reply | None:
    """Return 400 without a content type, 415 for another than JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind:
        return fail(400, "MissingAttributeError", "Missing header value: Content-Type")
    return None if kind == "application/json" else fail(415, "Unsupported Media Type", "Content-Type should be application/json")


def refuse_query(request: Request, workspace: str) -> Reply | None:
    """Return 400 for a portfolio's query that is not whole, or names another workspace."""
    if "project_code" in request.query and "app_id" not in request.query:
        return fail(400, "ParamsRequired", "app_id is required with project_code")
    if request.query.get("app_id", workspace) != workspace:
        return fail(400, "InvalidParams", "Given app_id is invalid.")
    return None
