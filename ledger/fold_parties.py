"""Rules of the fold for parties, their keys, claims, recovery and mandates.

Each entry type has a check (raises RefusedError, changes nothing) and an effect.
"""

from typing import Any

from ledger.envelope import fingerprint, unb64
from ledger.errors import RefusedError
from ledger.fold_consents import end_grant
from ledger.fold_model import (
    Act,
    Attestation,
    Grant,
    Key,
    Mandate,
    Party,
    Recovery,
    Tables,
    UnknownReference,
)
from ledger.fold_signers import get_party

RECOVERY_WAIT_MS = 7 * 24 * 3600 * 1000


def _key_of(value: dict[str, Any], index: int) -> Key:
    return Key(unb64(value["public_key"]), value["kind"], value["use"], index)


def _require_fresh(state: Tables, act: Act, key: Key) -> None:
    # A key belongs to one party for ever: a removed key never returns, here or elsewhere.
    if fingerprint(key.public_key) in state.key_owner:
        raise RefusedError(f"{act.rule.type}: a key it adds was registered before; use a new one")


def _party_of(state: Tables, act: Act) -> Party:
    party = get_party(state, act.payload["party"], act)
    if party.role != act.payload["role"]:
        raise RefusedError(f"{act.rule.type}: party {party.id} has another role")
    return party


def check_registered(state: Tables, act: Act) -> None:
    """Refuse party.registered for a party, or with a key, that was registered before."""
    if act.payload["party"] in state.parties:
        raise RefusedError(f"party.registered: party {act.payload['party']} exists already")
    for value in act.payload["keys"]:
        _require_fresh(state, act, _key_of(value, act.index))


def apply_registered(state: Tables, act: Act) -> None:
    """Add a party with its keys, and who cosigned its enrolment."""
    payload, do = act.payload, state.journal
    party = Party(payload["party"], payload["role"], {}, act.index, entries=[act.index])
    if len(act.entry.signatures) == 2:
        party.cosigner = fingerprint(act.entry.signatures[1].public_key)
    for value in payload["keys"]:
        _add_key(state, party, _key_of(value, act.index))
    do.put(state.parties, party.id, party)


def _add_key(state: Tables, party: Party, key: Key) -> None:
    name = fingerprint(key.public_key)
    state.journal.put(party.keys, name, key, of=party)
    state.journal.put(state.key_owner, name, party.id)


def check_key_added(state: Tables, act: Act) -> None:
    """Refuse party.key_added for a key that was ever registered, here or elsewhere."""
    _party_of(state, act)
    _require_fresh(state, act, _key_of(act.payload["key"], act.index))


def apply_key_added(state: Tables, act: Act) -> None:
    """Add the key to its party."""
    party = _party_of(state, act)
    _add_key(state, party, _key_of(act.payload["key"], act.index))
    state.journal.push(party.entries, act.index)


def check_key_removed(state: Tables, act: Act) -> None:
    """Refuse party.key_removed for a key the party lacks, or for its last one to sign with."""
    party = _party_of(state, act)
    key = party.keys.get(act.payload["fingerprint"])
    if key is None:
        raise UnknownReference("party.key_removed: the party has no such key")
    others = [name for name, item in party.keys.items() if item.use == "sign"]
    if key.use == "sign" and others == [act.payload["fingerprint"]]:
        raise RefusedError("party.key_removed: this is the party's last sign key; rotate it")


def apply_key_removed(state: Tables, act: Act) -> None:
    """Remove the key; from now on the account has entries that must stay readable."""
    party = _party_of(state, act)
    state.journal.drop(party.keys, act.payload["fingerprint"], of=party)
    _note_lasting(state, party, act)


def _note_lasting(state: Tables, party: Party, act: Act) -> None:
    state.journal.push(party.entries, act.index)
    state.journal.change(party, "lasting", True)


def check_key_rotated(state: Tables, act: Act) -> None:
    """Refuse party.key_rotated unless a fresh key takes the place of one of the same use."""
    party = _party_of(state, act)
    old = party.keys.get(act.payload["fingerprint"])
    new = _key_of(act.payload["key"], act.index)
    if old is None or old.use != new.use:
        raise RefusedError("party.key_rotated: the new key must have the use of the old one")
    _require_fresh(state, act, new)


def apply_key_rotated(state: Tables, act: Act) -> None:
    """Remove the old key and add the new one."""
    apply_key_removed(state, act)
    _add_key(state, _party_of(state, act), _key_of(act.payload["key"], act.index))


def check_attested(state: Tables, act: Act) -> None:
    """Refuse party.attested about another role, or where it has expired already."""
    _party_of(state, act)
    if act.payload["expires_at"] <= act.now:
        raise RefusedError("party.attested: the statement has expired already")


def apply_attested(state: Tables, act: Act) -> None:
    """Add the claims to their party; whether the attester counts is for who reads them."""
    party, payload = _party_of(state, act), act.payload
    item = Attestation(act.index, payload["claims"], payload["expires_at"], act.actor)
    state.journal.push(party.attestations, item, of=party)
    state.journal.push(party.entries, act.index)


def check_recovery(state: Tables, act: Act) -> None:
    """Refuse recovery.requested without 7 days' wait and a fresh key to sign with."""
    _party_of(state, act)
    key = _key_of(act.payload["key"], act.index)
    _require_fresh(state, act, key)
    if key.use != "sign" or act.payload["recovery"] in state.recoveries:
        raise RefusedError("recovery.requested: needs a new id and a key to sign with")
    if fingerprint(key.public_key) in state.recovering:
        raise RefusedError("recovery.requested: this key is already waiting")
    if act.payload["effective_at"] < act.now + RECOVERY_WAIT_MS:
        raise RefusedError("recovery.requested: the waiting time is 7 days at least")


def apply_recovery(state: Tables, act: Act) -> None:
    """Note which key will count from when, unless it is cancelled before."""
    payload = act.payload
    key = fingerprint(unb64(payload["key"]["public_key"]))
    effective_at = payload["effective_at"]
    item = Recovery(payload["recovery"], payload["party"], key, effective_at, act.index)
    state.journal.put(state.recoveries, item.id, item)
    if act.leaf.about is not None:
        # Its owner's client sees the leaf alone, and can cancel it by that.
        state.journal.put(state.recoveries, act.leaf.about.hex(), item)
    state.journal.put(state.recovering, key, item)
    state.journal.push(_party_of(state, act).entries, act.index)


def check_recovery_cancelled(state: Tables, act: Act) -> None:
    """Refuse recovery.cancelled for a recovery the party has not, or cancelled before."""
    party = _party_of(state, act)
    recovery = state.recoveries.get(act.payload["recovery"])
    if recovery is None or recovery.party != party.id:
        raise UnknownReference("recovery.cancelled: the party has no such recovery")
    if recovery.cancelled is not None:
        raise RefusedError("recovery.cancelled: this recovery is cancelled already")


def apply_recovery_cancelled(state: Tables, act: Act) -> None:
    """Cancel the recovery: its key never counts."""
    recovery = state.recoveries[act.payload["recovery"]]
    state.journal.change(recovery, "cancelled", act.index)
    _note_lasting(state, _party_of(state, act), act)


def check_mandate(state: Tables, act: Act) -> None:
    """Refuse mandate.given to oneself, under a number that is taken, or with its end past."""
    payload = act.payload
    get_party(state, payload["holder"], act)
    if payload["mandate"] in state.mandates:
        raise RefusedError(f"mandate.given: mandate {payload['mandate']} exists already")
    if payload["holder"] == payload["owner"]:
        raise RefusedError("mandate.given: an owner needs no mandate for itself")
    if payload["valid_until"] is not None and payload["valid_until"] <= act.now:
        raise RefusedError("mandate.given: the mandate has ended already")


def apply_mandate(state: Tables, act: Act) -> None:
    """Note who may act for whom, and until when."""
    p = act.payload
    item = Mandate(p["mandate"], p["owner"], p["holder"], p["kind"], p["valid_until"], act.index)
    state.journal.put(state.mandates, item.id, item)
    state.journal.put(state.mandate_at, act.index, item)
    state.journal.push(state.parties[item.owner].entries, act.index)


def grants_under(state: Tables, mandate: Mandate) -> list[Grant]:
    """Return the consents given under a mandate that no final stop has ended."""
    party = state.parties.get(mandate.owner)
    return [
        grant
        for name in (party.datasets if party is not None else ())
        for grant in list(state.datasets[name].live())
        if grant.mandate == mandate.index
    ]


def check_mandate_ended(state: Tables, act: Act) -> None:
    """Refuse mandate.ended unless the owner gave it and it stands, and stops are under it."""
    mandate = state.mandates.get(act.payload["mandate"])
    if mandate is None or mandate.owner != act.payload["owner"]:
        raise UnknownReference("mandate.ended: the owner gave no such mandate")
    if mandate.ended is not None:
        raise RefusedError("mandate.ended: this mandate is ended already")
    for at in act.payload.get("stops", ()):
        grant = state.grant_at.get(at)
        if grant is not None and (grant.owner, grant.mandate) != (mandate.owner, mandate.index):
            raise RefusedError(f"mandate.ended: leaf {at} is no consent given under this mandate")


def apply_mandate_ended(state: Tables, act: Act) -> None:
    """End the mandate, and every consent given under it, also those the entry does not name.

    Naming them lets public leaves show it. Ending a mandate never fails for want of a name: who
    held it may have given consents its owner does not know.
    """
    mandate = state.mandates[act.payload["mandate"]]
    state.journal.change(mandate, "ended", act.index)
    state.journal.change(mandate, "ended_time", act.now)
    for grant in grants_under(state, mandate):
        end_grant(state, grant, act.index)
    _note_lasting(state, state.parties[act.payload["owner"]], act)
