"""Readiness probe: is the server on a port up, and is it ours? The token is not sent to a stranger on the port."""

import http.client
import json
import secrets
from urllib.parse import urlsplit

from backend.web.token import derive, same

READY_PATH = "/-/ready"
SCHEME = "Lektrack-Probe"
PROBE_TIMEOUT_S = 2.0
MAX_ANSWER = 4096  # bytes of a probe's answer


def probe(url: str, token: str, timeout_s: float = PROBE_TIMEOUT_S) -> bool:
    """Tell whether the server at ``url`` (scheme, host, port and perhaps a path) is ready and holds the same token.

    The request carries a random number and its HMAC under the token; the answer must carry another HMAC of both number
    and port. So a stranger on the port learns nothing that opens a door, and cannot pass for ours.
    """
    parts = urlsplit(url)
    nonce = secrets.token_hex(16)
    path = parts.path if parts.path.strip("/") else READY_PATH
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
    try:
        mac = derive(token, f"probe:{parts.port}:{nonce}")
        connection.request("GET", path, headers={"Authorization": f"{SCHEME} {nonce} {mac}"})
        answer = connection.getresponse()
        told = json.loads(answer.read(MAX_ANSWER))
        return answer.status == 200 and same(str(told["proof"]), derive(token, f"ready:{parts.port}:{nonce}"))
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False
    finally:
        connection.close()


def is_probe(headers: dict[str, list[str]], token: str, port: int) -> bool:
    """Tell whether a request is a probe by somebody who holds the token."""
    nonce, mac = _given(headers)
    return bool(nonce) and same(mac, derive(token, f"probe:{port}:{nonce}"))


def ready_answer(headers: dict[str, list[str]], token: str, port: int, ready: bool) -> dict[str, object]:
    """Return the answer's JSON: whether the server is ready and, to a probe, the proof that it is ours."""
    nonce, _ = _given(headers)
    return {"ready": ready, **({"proof": derive(token, f"ready:{port}:{nonce}")} if nonce else {})}


def _given(headers: dict[str, list[str]]) -> tuple[str, str]:
    given = headers.get("authorization", [])
    parts = given[0].split(" ") if len(given) == 1 else []
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == SCHEME else ("", "")
