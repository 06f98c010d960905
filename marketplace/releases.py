"""States on the ledger which key origin was released: the digest of every file it serves."""

import logging

from marketplace import outbox
from marketplace.entries import new_id
from marketplace.keyorigin import build
from marketplace.services import Services

LOG = logging.getLogger(__name__)
TYPE = "web.released"


def state_release(services: Services) -> str | None:
    """Queue a `web.released` entry for the bundle this version serves, once; return its digest."""
    if not services.config.keys_origin:
        return None
    digest = build(services.config.trust_file.read_bytes()).digest
    now = services.clock()
    entry = services.signer.sign(TYPE, {"digest": digest}, now=now, id_=new_id())
    with services.db.write() as session:
        outbox.enqueue(session, entry, dedupe=f"{TYPE}:{digest}", now=now)
    return digest
