"""The headers that every answer of every server carries, refusals and errors included."""

import base64
import hashlib
import re
from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

# Pages of our own: plain modules and style sheets from the same origin, nothing inline, nothing from elsewhere.
STRICT = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' blob:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "worker-src": "'self'",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}

FIXED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # not "no-referrer": with that, browsers send "Origin: null" with our own forms
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def content_policy(changes: dict[str, str] | None = None) -> str:
    """Return the Content-Security-Policy of our own pages with ``changes``, directive by directive."""
    return "; ".join(f"{name} {value}" for name, value in (STRICT | (changes or {})).items())


def inline_hashes(html: str, element: str) -> str:
    """Return the CSP sources that allow exactly the inline ``element`` (script or style) bodies of ``html``."""
    bodies = re.findall(rf"<{element}>(.*?)</{element}>", html, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'" for body in bodies)


def secured(headers: Iterable[tuple[bytes, bytes]], policy: str) -> Headers:
    """Return an answer's headers with ours in place of the app's.

    What would let other origins read the answer goes; a cache shared by several people must not keep it; an app may
    set a content policy of its own for one answer.
    """
    kept = [
        (name, b"private" + value[6:] if name.lower() == b"cache-control" and value.startswith(b"public") else value)
        for name, value in headers
        if not name.lower().startswith(b"access-control-") and name.lower().decode("latin-1") not in FIXED
    ]
    present = {name.lower() for name, _ in kept}
    if b"content-security-policy" not in present:
        kept.append((b"content-security-policy", policy.encode()))
    if b"cache-control" not in present:
        kept.append((b"cache-control", b"private, no-cache"))
    return kept + [(name.encode(), value.encode()) for name, value in FIXED.items()]
