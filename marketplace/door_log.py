"""What happens at the door: who signed in, who was refused, who was slowed down.

For whoever looks into an attack. A line holds time (UTC), address pattern, kind of error, and of
the party a tag only this server can make of its id; never an id, a token or a value.
"""

import hmac
import logging
import time

from flask import request

from marketplace.services import Services

LOG = logging.getLogger("marketplace.door")
REFUSALS = (401, 403, 429)
QUIET_SECONDS = 10.0  # a flood of requests must not become a flood of lines
_last = {429: -QUIET_SECONDS}


def place() -> str:
    """Return the method and the pattern of a request's address, without the ids within."""
    rule = request.url_rule
    return f"{request.method} {rule.rule if rule is not None else 'unknown address'}"


def tag(services: Services, party: str) -> str:
    """Return what stands for a party in the log: the same for all its lines here."""
    return hmac.digest(services.challenge_key, b"door\n" + party.encode(), "sha256").hex()[:12]


def signed_in(services: Services, party: str, role: str) -> None:
    """Note a new session."""
    LOG.info("signed in: %s %s", role, tag(services, party))


def refused(status: int, kind: str, who: str = "") -> None:
    """Note a request that was not let in. who: a tag, where somebody was signed in."""
    if status not in REFUSALS:
        return
    if status in _last:
        if time.monotonic() - _last[status] < QUIET_SECONDS:
            return
        _last[status] = time.monotonic()
    LOG.warning("refused %d %s: %s%s", status, kind, place(), f" {who}" if who else "")
