"""Who may sign what: one function for each signer rule named in the table of entry types.

Says nothing about whether a signature is valid: that was checked before, over the same bytes.
"""

from collections.abc import Callable

from ledger.envelope import b64, fingerprint
from ledger.errors import RefusedError
from ledger.fold_model import Act, Party, Tables, UnknownReference
from ledger.kinds import SIGNING_KINDS

PERSON_VERIFIED = "person_verified"
ROLE_PINS = ("auditor", "attester", "marketplace", "compute", "operator", "treasurer")


def require_signer(state: Tables, act: Act) -> None:
    """Refuse an entry whose signer may not make it. Raises RefusedError."""
    SIGNERS[act.rule.signer](state, act)


def get_party(state: Tables, party: str, act: Act) -> Party:
    """Return a party. Raises UnknownReference."""
    found = state.parties.get(party)
    if found is None:
        raise UnknownReference(f"{act.rule.type}: party {party} is not registered")
    return found


def signs_as(party: Party, act: Act) -> bool:
    """Tell whether the first signature is by a sign key of the party."""
    key = party.keys.get(act.actor)
    return key is not None and key.use == "sign" and key.kind == act.entry.signatures[0].kind


def _refuse(act: Act, who: str) -> RefusedError:
    return RefusedError(f"{act.rule.type}: the signer is not {who}; sign with that key")


def _of_role(state: Tables, act: Act, name: str, role: str) -> Party:
    party = get_party(state, act.payload[name], act)
    if party.role != role:
        raise RefusedError(f"{act.rule.type}: party {party.id} is not registered as {role}")
    return party


def _owner_signed(state: Tables, act: Act) -> bool:
    owner = _of_role(state, act, "owner", "owner")
    if act.payload["basis"]["kind"] == "self":
        return signs_as(owner, act)
    return _mandated(state, act)


def _mandated(state: Tables, act: Act) -> bool:
    basis = act.payload["basis"]
    mandate = state.mandate_at.get(basis.get("mandate", -1))
    if mandate is None or mandate.owner != act.payload["owner"] or mandate.kind != basis["kind"]:
        return False
    ended = mandate.valid_until is not None and act.now >= mandate.valid_until
    holder = state.parties.get(mandate.holder)
    return mandate.ended is None and not ended and holder is not None and signs_as(holder, act)


def _dataset_signed(state: Tables, act: Act) -> bool:
    dataset = state.datasets.get(act.payload["dataset"])
    signature = act.entry.signatures[0]
    if dataset is None or dataset.owner != act.payload["owner"] or signature.kind != "ed25519":
        return False
    return act.payload["basis"]["kind"] == "self" and dataset.signing_key == b64(
        signature.public_key
    )


def _owner(state: Tables, act: Act) -> None:
    if not _owner_signed(state, act):
        raise _refuse(act, "a sign key of the owner")


def _owner_or_dataset(state: Tables, act: Act) -> None:
    if _dataset_signed(state, act) or _owner_signed(state, act):
        return
    if act.payload["dataset"] not in state.datasets:
        raise UnknownReference(f"{act.rule.type}: its dataset is not registered")
    raise _refuse(act, "the dataset's key or a sign key of the owner")


def _stopper(state: Tables, act: Act) -> None:
    if act.payload["basis"]["kind"] == "operator":
        _require_pin(state, act, "marketplace")
        return
    _owner_or_dataset(state, act)


def _eraser(state: Tables, act: Act) -> None:
    # Once the owner's own enrolment is erased nobody can check this signer any more; what such
    # an entry may excuse is limited in `fold_datasets`.
    if act.payload["owner"] in state.parties:
        _owner(state, act)


def _party(state: Tables, act: Act) -> None:
    party = get_party(state, act.payload["party"], act)
    if not signs_as(party, act):
        raise _refuse(act, "a sign key of the party")


def _party_or_recovered(state: Tables, act: Act) -> None:
    party = get_party(state, act.payload["party"], act)
    if signs_as(party, act):
        return
    recovery = state.recovering.get(act.actor)
    if recovery is None or recovery.party != party.id or recovery.cancelled is not None:
        raise _refuse(act, "a sign key of the party")
    if act.now < recovery.effective_at:
        raise RefusedError(f"{act.rule.type}: the waiting time of this recovery is not over")
    added = act.payload["key"]
    if added["public_key"] != b64(act.entry.signatures[0].public_key) or added["use"] != "sign":
        raise RefusedError(f"{act.rule.type}: a recovered key can add only itself")


def _rotated_key(state: Tables, act: Act) -> None:
    party = get_party(state, act.payload["party"], act)
    old = party.keys.get(act.payload["fingerprint"])
    if old is None:
        raise UnknownReference(f"{act.rule.type}: the party has no such key")
    if not signs_as(party, act) or (old.use == "sign" and act.actor != act.payload["fingerprint"]):
        raise _refuse(act, "the key that is rotated out")


def _registrant(state: Tables, act: Act) -> None:
    first = act.entry.signatures[0]
    own = {
        "public_key": b64(first.public_key),
        "kind": first.kind,
        "use": "sign",
    }
    if first.kind not in SIGNING_KINDS or own not in act.payload["keys"]:
        raise _refuse(act, "one of the sign keys it registers")
    role = act.payload["role"]
    if role in ROLE_PINS:
        _require_pin(state, act, role)
    else:
        _require_cosigner(state, act)


def _require_cosigner(state: Tables, act: Act) -> None:
    key = fingerprint(act.entry.signatures[1].public_key)
    if not state.pins.may_attest(PERSON_VERIFIED, key):
        raise RefusedError(f"{act.rule.type}: the cosigner is not a pinned attester of persons")


def _attester(state: Tables, act: Act) -> None:
    if not act.payload["claims"]:
        raise RefusedError(f"{act.rule.type}: states no claim")
    for claim in act.payload["claims"]:
        if not state.pins.may_attest(claim, act.actor):
            raise RefusedError(f"{act.rule.type}: the signer is not pinned for {claim[:40]!r}")


def _recovery_key(state: Tables, act: Act) -> None:
    party = get_party(state, act.payload["party"], act)
    key = party.keys.get(act.actor)
    kind = act.entry.signatures[0].kind
    if key is not None and key.use == "recover" and key.kind == kind:
        return
    if not state.pins.may_attest(PERSON_VERIFIED, act.actor):
        raise _refuse(act, "a recovery key of the party or a pinned attester of persons")


def _mandator(state: Tables, act: Act) -> None:
    owner = _of_role(state, act, "owner", "owner")
    if act.payload["kind"] != "guardian":
        if not signs_as(owner, act):
            raise _refuse(act, "a sign key of the owner")
        return
    if not signs_as(get_party(state, act.payload["holder"], act), act):
        raise _refuse(act, "a sign key of the guardian")
    _require_cosigner(state, act)


def _owner_or_holder(state: Tables, act: Act) -> None:
    owner = _of_role(state, act, "owner", "owner")
    mandate = state.mandates.get(act.payload["mandate"])
    holder = None if mandate is None else state.parties.get(mandate.holder)
    if not signs_as(owner, act) and not (holder and signs_as(holder, act)):
        raise _refuse(act, "a sign key of the owner or of the mandate's holder")


def _researcher(state: Tables, act: Act) -> None:
    if not signs_as(_of_role(state, act, "researcher", "researcher"), act):
        raise _refuse(act, "a sign key of the researcher")


def _reviewer(state: Tables, act: Act) -> None:
    if not signs_as(_of_role(state, act, "reviewer", "reviewer"), act):
        raise _refuse(act, "a sign key of the reviewer")


def _require_pin(state: Tables, act: Act, *roles: str) -> None:
    if not any(state.pins.is_service(role, act.actor) for role in roles):
        raise _refuse(act, f"pinned as {' or '.join(roles)} in the trust policy")


def _service(*roles: str) -> Callable[[Tables, Act], None]:
    return lambda state, act: _require_pin(state, act, *roles)


SIGNERS: dict[str, Callable[[Tables, Act], None]] = {
    "registrant": _registrant,
    "party": _party,
    "party or recovered": _party_or_recovered,
    "rotated key": _rotated_key,
    "attester of every claim": _attester,
    "recovery key": _recovery_key,
    "mandator": _mandator,
    "owner or holder": _owner_or_holder,
    "owner": _owner,
    "owner or dataset": _owner_or_dataset,
    "owner, dataset or marketplace": _stopper,
    "owner of erasure": _eraser,
    "researcher": _researcher,
    "reviewer": _reviewer,
    "marketplace": _service("marketplace"),
    "compute": _service("compute"),
    "operator": _service("operator"),
    "compute or operator": _service("compute", "operator"),
    "marketplace or operator": _service("marketplace", "operator"),
}
