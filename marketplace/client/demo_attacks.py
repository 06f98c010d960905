"""What the demo tries to break: a withdrawal, a flipped byte, a forged consent.

Each returns whether the market refused, shown by what is on the ledger or in the vault's own
answer, never by comparing statistics.
"""

import itertools
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import obstore
from obstore.store import LocalStore, from_url
from sqlalchemy import Engine, create_engine, text

from compute import terms_sha256
from ledger import submission_to_json
from marketplace.client.activity import activity
from marketplace.client.demo_orders import different_request
from marketplace.client.demo_owners import Participant, Say, demo_terms
from marketplace.client.demo_team import Done, Team
from marketplace.client.errors import ClientError
from marketplace.client.keys import KeyStore
from marketplace.client.statements import new_id, stated
from marketplace.embedded import Layout

WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What happened after a withdrawal."""

    order: Done
    excluded: bool


def withdraw_and_order(layout: Layout, leaver: Participant, team: Team, say: Say) -> Withdrawn:
    """Withdraw every consent of one person, then run a different order without them."""
    for grant in leaver.grants:
        leaver.owner.withdraw(grant)
    say(f"   {leaver.name} took back {len(leaver.grants)} consents; compute destroys their keys")
    before = {use.access for use in activity(leaver.owner.session)}
    with ThreadPoolExecutor(1) as pool:
        probed = pool.submit(probe_vault, layout, leaver.grants[0])
        done = team.buy(different_request(), say)
        refusal = probed.result()
    after = {use.access for use in activity(leaver.owner.session)}
    unused = after == before
    say(f"   the new access tree holds no tag of {leaver.name}: {_yes(unused)}")
    say(f"   asked directly, the vault refuses: {refusal['reason']}")
    return Withdrawn(done, unused and refusal["opened"] is False)


def probe_vault(layout: Layout, grant: str) -> dict[str, Any]:
    """Ask the compute machine's vault to open one grant; it answers and records nothing else."""
    command = [sys.executable, "-m", "compute.probe", "--dir", str(layout.directory("compute"))]
    done = subprocess.run(
        [*command, "--grant", grant],
        cwd=layout.directory("compute"),
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise ClientError(f"the vault's probe failed: {done.stderr.strip()[-500:]}") from None
    return answer


def tamper(layout: Layout, person: Participant, say: Say) -> bool:
    """Register a new file, flip one byte of its stored ciphertext, consent: compute must refuse."""
    owner = person.owner
    head = b"##namespace=Ensembl\n##unit=normalised\n##assay=demo\n"
    source = head + b"feature_id\tvalue\nENSG00000000001\t1.5\n"
    prepared = owner.prepare(source, "expression", name="another file")
    owner.send([prepared])
    _flip_byte(layout, prepared.ciphertext)
    facets = {"population": str(person.person.population)}
    terms = demo_terms()
    offer, offered = owner.offer([prepared.dataset], terms, facets)
    record = owner.session.home.read(f"datasets/{prepared.dataset}.json") or {}
    grant = owner.grant(record, offer, terms, facets)
    owner.send([], after=[offered, grant])
    refused = _eventually(lambda: _ingest_code(layout, prepared.dataset) not in (None, "ingested"))
    code = _ingest_code(layout, prepared.dataset)
    say(f"   one flipped byte in a stored file: compute refuses it ({code}): {_yes(refused)}")
    return refused


def _flip_byte(layout: Layout, ciphertext: bytes) -> None:
    """Change one byte of a stored ciphertext, as a hostile storage operator could."""
    store = _object_store(layout)
    for item in itertools.chain.from_iterable(obstore.list(store)):
        if item["size"] != len(ciphertext):
            continue
        data = bytearray(obstore.get(store, item["path"]).bytes())
        if data == ciphertext:
            data[-20] ^= 1
            obstore.put(store, item["path"], bytes(data))
            return
    raise ClientError("no stored object is the ciphertext just uploaded; see the marketplace's log")


def _object_store(layout: Layout) -> Any:
    """Open the marketplace's object store, as whoever runs the storage could."""
    url = str(layout.overrides.get("marketplace", {}).get("object_store_url", "objects"))
    if url.startswith("s3://"):
        return from_url(url)
    return LocalStore(layout.directory("marketplace") / url.removeprefix("file://"))


def _ingest_code(layout: Layout, dataset: str) -> str | None:
    """Return what compute reported of a dataset's ingest, once it did."""
    statement = text("SELECT outcome FROM jobs WHERE kind = 'ingest' AND state = 'done'")
    with _engine(layout).connect() as connection:
        for (outcome,) in connection.execute(statement):
            found = json.loads(outcome) if isinstance(outcome, str) else outcome
            if found and dataset in found["datasets"]:
                return str(found["datasets"][dataset])
    return None


def forge(layout: Layout, victim: Participant, say: Say) -> bool:
    """Write a forged consent straight into the marketplace's database; the ledger must refuse it.

    An administrator with full database access signs with a key of their own, and puts it where
    the marketplace's own statements wait to be published.
    """
    forged = _forged_consent(layout, victim)
    row = _insert_into_outbox(layout, forged)
    refused = _eventually(lambda: _outbox_error(layout, row) is not None)
    state = victim.owner.session.view.sync()
    grants = {d["grant"] for d in victim.owner.session.home.documents("grants")}
    if refused:
        say(f"   a forged consent in the marketplace's database: {_outbox_error(layout, row)}")
    return refused and not state.violations and forged["grant"] not in grants


def _forged_consent(layout: Layout, victim: Participant) -> dict[str, Any]:
    """Return a consent in the victim's name, signed with the administrator's own key."""
    home = victim.owner.session.home
    store = KeyStore(layout.root / "people" / "administrator" / "keys")
    store.create("sign", "sign")
    sealed = secrets.token_bytes(64)
    genuine = next(iter(home.documents("entries")))
    grant = new_id()
    terms = demo_terms()
    recipient = victim.owner.session.view.recipient("local", int(genuine["time"]))
    fields = {
        "grant": grant,
        "owner": home.party,
        "dataset": victim.datasets[0],
        "offer": None,
        "terms": terms.to_dict(),
        "terms_sha256": terms_sha256(terms),
        "facets": {},
        "recipient": {"key_id": recipient.key_id, "region": recipient.region},
        "sealed_grant_sha256": sha256(sealed).hexdigest(),
        "activity_commitment": sha256(b"forged").hexdigest(),
        "order": None,
    }
    submission = stated("consent.granted", fields, store.signing(), {"sealed_grant": sealed})
    return {
        "grant": grant,
        "entry": submission.entry.payload["id"],
        "submission": submission_to_json(submission),
    }


def _engine(layout: Layout) -> Engine:
    """Open the marketplace's own database, as its administrator could."""
    url = layout.overrides.get("marketplace", {}).get("database_url")
    if url is None:
        url = f"sqlite:///{layout.directory('marketplace') / 'marketplace.sqlite'}"
    return create_engine(str(url))


def _insert_into_outbox(layout: Layout, forged: dict[str, Any]) -> str:
    """Put the forged entry among the statements waiting for the ledger; return its row's name."""
    submission = forged["submission"]
    row = {
        "entry": forged["entry"],
        "submission": json.dumps(submission),
        "now": time.time_ns() // 1_000_000,
    }
    statement = text(
        "INSERT INTO outbox (entry_id, dedupe, type, submission, state, attempts, retry_at,"
        " created_at) VALUES (:entry, :entry, 'consent.granted', :submission, 'pending', 0, 0,"
        " :now)"
    )
    with _engine(layout).begin() as connection:
        connection.execute(statement, row)
    return str(forged["entry"])


def _outbox_error(layout: Layout, entry: str) -> str | None:
    """Return why the ledger refused the row, once it did."""
    statement = text("SELECT state, error FROM outbox WHERE entry_id = :entry")
    with _engine(layout).connect() as connection:
        row = connection.execute(statement, {"entry": entry}).one()
    return str(row.error) if row.state == "refused" else None


def _eventually(check: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.2)
    return False


def _yes(value: bool) -> str:
    return "[green]yes[/]" if value else "[red]NO[/]"
