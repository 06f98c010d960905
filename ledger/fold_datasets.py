"""Rules of the fold for datasets: registration, replacement, and what erasure excuses.

An erasure may let only envelopes disappear whose absence takes rights away and never gives any;
so a removed key or an objection always stays readable.
"""

from collections.abc import Iterable

from ledger.entry_types import RULES
from ledger.envelope import about_tag
from ledger.errors import RefusedError
from ledger.fold_consents import live_dataset, require_all_stopped
from ledger.fold_model import Act, Dataset, Party, Tables, UnknownReference
from ledger.fold_signers import PERSON_VERIFIED, get_party
from ledger.leaf import Leaf

ENROLMENT = "party.registered"


def check_registered(state: Tables, act: Act) -> None:
    """Refuse dataset.registered unless its owner's enrolment is cosigned and it is new."""
    payload = act.payload
    owner = get_party(state, payload["owner"], act)
    if owner.cosigner is None or not state.pins.may_attest(PERSON_VERIFIED, owner.cosigner):
        raise RefusedError("dataset.registered: the owner's enrolment has no pinned cosigner")
    if payload["dataset"] in state.datasets:
        raise RefusedError(f"dataset.registered: dataset {payload['dataset']} exists already")
    if state.participants.get(payload["participant"], owner.id) != owner.id:
        raise RefusedError("dataset.registered: the participant belongs to another owner")
    retain = payload.get("retain_until")
    if retain is not None and retain <= act.now:
        raise RefusedError("dataset.registered: retain_until is past; give a later date or none")
    if payload["ciphertext"]["header_size"] >= payload["ciphertext"]["size"]:
        raise RefusedError("dataset.registered: header_size must be below the file's size")


def apply_registered(state: Tables, act: Act) -> None:
    """Add the dataset to its owner; its participant is that owner's from now on."""
    payload, do = act.payload, state.journal
    owner = state.parties[payload["owner"]]
    dataset = Dataset(
        id=payload["dataset"],
        owner=owner.id,
        participant=payload["participant"],
        modality=payload["modality"],
        ciphertext_sha256=payload["ciphertext"]["sha256"],
        size=payload["ciphertext"]["size"],
        header_size=payload["ciphertext"]["header_size"],
        format=state.share(payload["format"]),
        region=payload["region"],
        index=act.index,
        signing_key=payload["signing_key"],
        custodian=payload["custodian"],
        controller=payload["controller"],
        retain_until=payload.get("retain_until"),
        entries=[act.index],
    )
    do.put(state.datasets, dataset.id, dataset)
    do.put(state.participants, dataset.participant, owner.id)
    do.push(owner.datasets, dataset.id)


def check_replaced(state: Tables, act: Act) -> None:
    """Refuse dataset.replaced by itself, while a grant is in force, or where it erases."""
    dataset = live_dataset(state, act, act.payload["dataset"])
    new = act.payload.get("replaced_by")
    if new is not None and (new == dataset.id or live_dataset(state, act, new) is dataset):
        raise RefusedError("dataset.replaced: a dataset cannot replace itself")
    require_all_stopped(state, act, [dataset.id])
    if act.payload["erases"]:
        raise RefusedError("dataset.replaced: erases must be empty; erase the dataset to erase")


def apply_replaced(state: Tables, act: Act) -> None:
    """Mark the dataset as replaced: nothing new is granted of it."""
    dataset = state.datasets[act.payload["dataset"]]
    state.journal.change(dataset, "replaced", True)
    state.touched.append(dataset.id)
    state.journal.push(dataset.entries, act.index)


def check_erased(state: Tables, act: Act) -> None:
    """Refuse dataset.erased unless it names all of the dataset's entries and none of others."""
    payload = act.payload
    if any(index >= act.index for index in payload["erases"]):
        raise RefusedError("dataset.erased: erases names a leaf that does not exist yet")
    _check_about(state, act)
    owner = state.parties.get(payload["owner"])
    if owner is None:
        _check_unknown_owner(state, act)
        return
    dataset = state.datasets.get(payload["dataset"])
    if dataset is not None:
        _check_known_dataset(state, act, dataset)
    _check_owned(state, act, owner)


def _check_about(state: Tables, act: Act) -> None:
    """Refuse to let a leaf disappear that says it is about somebody else, envelope or not."""
    for at in act.payload["erases"]:
        leaf = state.absent.get(at)
        if leaf is not None and not is_about(leaf, act.payload["owner"]):
            raise RefusedError(
                f"dataset.erased: leaf {at} is about somebody else, and its envelope is missing"
            )


def is_about(leaf: Leaf, party: str) -> bool:
    """Tell whether a personal leaf says it is about this party."""
    return leaf.commitment is not None and leaf.about == about_tag(party, leaf.commitment)


def _check_unknown_owner(state: Tables, act: Act) -> None:
    gone = [state.absent[at].type for at in act.payload["erases"] if at in state.absent]
    if ENROLMENT not in gone:
        raise UnknownReference("dataset.erased: the owner is unknown and was not erased")


def _check_known_dataset(state: Tables, act: Act, dataset: Dataset) -> None:
    if dataset.owner != act.payload["owner"]:
        raise RefusedError("dataset.erased: the dataset belongs to another owner")
    if dataset.erased:
        raise RefusedError("dataset.erased: the dataset is erased already")
    require_all_stopped(state, act, [dataset.id])
    if left := set(dataset.entries) - set(act.payload["erases"]):
        raise RefusedError(
            f"dataset.erased: erases must name every entry about the dataset; {len(left)} missing"
        )


def _check_owned(state: Tables, act: Act, owner: Party) -> None:
    own = {*owner.entries, *owner.payouts}
    for name in owner.datasets:
        own.update(state.datasets[name].entries)
    named = {at for at in act.payload["erases"] if at not in state.absent}
    if named - own:
        raise RefusedError("dataset.erased: erases names an entry that is not the owner's")
    if owner.registered_index in named:
        _check_closing(state, act, owner)
    elif named & set(owner.entries):
        raise RefusedError("dataset.erased: the enrolment and keys of an open account must stay")


def _check_closing(state: Tables, act: Act, owner: Party) -> None:
    """Closing an account: its enrolment goes, so everything of it must be gone or go now."""
    open_left = [
        name
        for name in owner.datasets
        if name != act.payload["dataset"] and not state.datasets[name].erased
    ]
    if open_left:
        raise RefusedError("dataset.erased: erase the owner's other datasets first")
    if left := set(owner.entries) - set(act.payload["erases"]):
        raise RefusedError(f"dataset.erased: closing an account leaves {len(left)} entries of it")
    if owner.lasting:
        raise RefusedError("dataset.erased: an account that took back a key or mandate must stay")


def apply_erased(state: Tables, act: Act) -> None:
    """Excuse the envelopes it names; close the account where its enrolment is among them."""
    payload, do = act.payload, state.journal
    dataset = state.datasets.get(payload["dataset"])
    if dataset is not None:
        do.change(dataset, "erased", True)
        state.touched.append(dataset.id)
    do.put(state.erased_datasets, payload["dataset"], payload["owner"])
    excuse(state, payload["owner"], payload["erases"])
    owner = state.parties.get(payload["owner"])
    if owner is None:
        return
    do.push(owner.entries, act.index)
    if owner.registered_index in payload["erases"]:
        do.drop(state.parties, owner.id)


def excuse(state: Tables, owner: str, indexes: Iterable[int]) -> None:
    """Mark leaves of an owner as erased; an erased erasure passes on what it excused itself."""
    waiting = list(indexes)
    while waiting:
        index = waiting.pop()
        leaf = state.absent.get(index)
        rule = None if leaf is None else RULES.get((leaf.type, leaf.version))
        if leaf is not None and (rule is None or not rule.erasable or not is_about(leaf, owner)):
            continue
        state.journal.add(state.erased, index)
        if index in state.missing:
            state.journal.discard(state.missing, index)
            waiting.extend(leaf.erases if leaf is not None else ())
