"""Rules of the fold for consents: grants, their stops, objections, offers and shares.

A stop always acts on the grants its leaf names, whether or not its envelope can be read. Whether
a grant's own time window covers a use is judged where it is used, not here.
"""

import hashlib
from collections.abc import Sequence
from functools import partial

from ledger.entry_types import PAUSE, REPLACE
from ledger.envelope import canonical_parsed
from ledger.errors import RefusedError
from ledger.fold_model import (
    Act,
    Dataset,
    Grant,
    Offer,
    Share,
    Tables,
    UnknownReference,
    split_terms,
)

CLOSED = ("refused", "cancelled", "expired", "failed", "published", "settled")


def live_dataset(state: Tables, act: Act, name: str) -> Dataset:
    """Return a dataset of the entry's owner that is in use. Raises RefusedError."""
    dataset = state.datasets.get(name)
    if dataset is None:
        raise UnknownReference(f"{act.rule.type}: dataset {name} is not registered")
    if dataset.owner != act.payload["owner"]:
        raise RefusedError(f"{act.rule.type}: dataset {name} belongs to another owner")
    if dataset.erased or dataset.replaced:
        raise RefusedError(f"{act.rule.type}: dataset {name} is erased or replaced")
    return dataset


def check_granted(state: Tables, act: Act) -> None:
    """Refuse consent.granted unless the dataset is live and has no grant in force for this use."""
    payload = act.payload
    _check_new_grant(state, act)
    dataset = live_dataset(state, act, payload["dataset"])
    if payload["grant"] in state.grants:
        raise RefusedError(f"{act.rule.type}: grant {payload['grant']} exists already")
    if dataset.live_for(payload["order"]) is not None:
        raise RefusedError(
            f"{act.rule.type}: dataset {dataset.id} has a grant in force for this already; "
            "withdraw it first, or rekey it"
        )


def _check_new_grant(state: Tables, act: Act) -> None:
    payload, name = act.payload, act.rule.type
    if payload["owner"] in state.objections:
        raise RefusedError(f"{name}: the owner objects to every use; lift the objection first")
    if hashlib.sha256(canonical_parsed(payload["terms"])).hexdigest() != payload["terms_sha256"]:
        raise RefusedError(f"{name}: terms_sha256 is not the SHA-256 of the canonical terms")
    offer = state.offers.get(payload["offer"])
    if offer is not None and offer.owner != payload["owner"]:
        raise RefusedError(f"{name}: the offer belongs to another owner")
    if payload["order"] is not None:
        order = state.orders.get(payload["order"])
        if order is None or order.status in CLOSED:
            raise RefusedError(f"{name}: the order is unknown or closed")
    _check_mandate(state, act)
    _check_recipient(state, act)


def _check_mandate(state: Tables, act: Act) -> None:
    """A consent under a mandate with an end date ends with it, by its own terms."""
    mandate = state.mandate_at.get(act.payload["basis"].get("mandate", -1))
    if mandate is None or mandate.valid_until is None:
        return
    until = act.payload["terms"].get("valid_until")
    if until is None or until > mandate.valid_until:
        raise RefusedError(
            f"{act.rule.type}: a {mandate.kind}'s mandate ends, so the consent must end by then; "
            f"set valid_until to {mandate.valid_until} or earlier"
        )


def _check_recipient(state: Tables, act: Act) -> None:
    recipient = act.payload["recipient"]
    key = state.compute_keys.get(recipient["key_id"])
    if key is None or key.region != recipient["region"]:
        raise RefusedError(f"{act.rule.type}: the recipient key is not published for this region")
    if not key.not_before <= act.now < key.not_after:
        raise RefusedError(f"{act.rule.type}: the recipient key is not valid now; use a newer one")


def apply_granted(state: Tables, act: Act) -> None:
    """Put the grant in force, standing or for its order."""
    payload, do = act.payload, state.journal
    dataset = state.datasets[payload["dataset"]]
    body, window = split_terms(payload["terms"])
    grant = Grant(
        id=payload["grant"],
        owner=dataset.owner,
        dataset=dataset.id,
        offer=payload["offer"],
        body=state.share(body),
        window=window,
        terms_sha256=payload["terms_sha256"],
        facets=state.share(payload["facets"]),
        recipient=state.share(payload["recipient"]),
        sealed_grant_sha256=payload["sealed_grant_sha256"],
        activity_commitment=payload["activity_commitment"],
        order=payload["order"],
        index=act.index,
        basis=payload["basis"]["kind"],
        mandate=payload["basis"].get("mandate"),
    )
    do.put(state.grants, grant.id, grant)
    do.put(state.grant_at, act.index, grant)
    do.push(dataset.entries, act.index)
    state.touched.append(dataset.id)
    if grant.order is None:
        do.change(dataset, "standing", grant)
        return
    table = dataset.per_order
    if table is None:
        table = {}
        do.change(dataset, "per_order", table)
    do.put(table, grant.order, grant, of=dataset)


def check_rekeyed(state: Tables, act: Act) -> None:
    """Refuse consent.rekeyed unless it replaces a grant in force on the same terms and offer."""
    payload = act.payload
    _check_new_grant(state, act)
    dataset = live_dataset(state, act, payload["dataset"])
    old = state.grant_at.get(payload["replaces"])
    if old is None or dataset.live_for(payload["order"]) is not old:
        raise UnknownReference("consent.rekeyed: replaces no grant in force for this dataset")
    if (old.terms_sha256, old.offer) != (payload["terms_sha256"], payload["offer"]):
        raise RefusedError("consent.rekeyed: the terms differ; withdraw and grant anew instead")
    if payload["grant"] != old.id and payload["grant"] in state.grants:
        raise RefusedError(f"consent.rekeyed: grant {payload['grant']} exists already")


def apply_rekeyed(state: Tables, act: Act) -> None:
    """Put the new grant in force in the old one's place, paused if that was."""
    old = state.grant_at[act.payload["replaces"]]
    apply_granted(state, act)
    if old.paused_at is not None:  # moving to a new key must not end a pause
        new = state.grant_at[act.index]
        state.journal.change(new, "paused_at", old.paused_at)
        held = tuple(new if item is old else item for item in state.paused_by[old.paused_at])
        state.journal.put(state.paused_by, old.paused_at, held)


def current_grant(state: Tables, index: int) -> Grant | None:
    """Return the grant given at a leaf, or what it was rekeyed to, unless it has stopped."""
    grant = state.grant_at.get(index)
    while grant is not None and grant.stopped_at is not None:
        grant = state.grant_at.get(grant.stopped_at)  # the leaf of its consent.rekeyed, if any
    return grant


def lineage(state: Tables, index: int) -> list[int]:
    """Return the leaf a grant was given at, and those it was rekeyed at since."""
    found = []
    grant = state.grant_at.get(index)
    while grant is not None:
        found.append(grant.index)
        grant = None if grant.stopped_at is None else state.grant_at.get(grant.stopped_at)
    return found


def stop_in_clear(state: Tables, stop: str | None, index: int, stops: Sequence[int]) -> None:
    """Let a leaf act on the grants it names, from its clear part alone.

    A stop that was signed before its grant was rekeyed stops what it was rekeyed to.
    """
    look = state.grant_at.get if stop == REPLACE else partial(current_grant, state)
    grants = [grant for at in stops if (grant := look(at)) is not None]
    if stop == PAUSE:
        for grant in grants:
            state.touched.append(grant.dataset)
            if grant.paused_at is None:
                state.journal.change(grant, "paused_at", index)
        state.journal.put(state.paused_by, index, tuple(grants))
        return
    for grant in grants:
        end_grant(state, grant, index)


def end_grant(state: Tables, grant: Grant, index: int) -> None:
    """Let a leaf end a grant for good, unless another did before."""
    if grant.stopped_at is not None:
        return
    state.journal.change(grant, "stopped_at", index)
    state.touched.append(grant.dataset)
    dataset = state.datasets.get(grant.dataset)
    if dataset is None:
        return
    if dataset.standing is grant:
        state.journal.change(dataset, "standing", None)
    elif dataset.per_order and dataset.per_order.get(grant.order or "") is grant:
        state.journal.drop(dataset.per_order, grant.order or "", of=dataset)


def _named_grant(state: Tables, act: Act, index: int) -> Grant:
    grant = state.grant_at.get(index)
    if grant is None:
        raise UnknownReference(f"{act.rule.type}: leaf {index} is no grant this ledger knows")
    payload = act.payload
    named = (payload["grant"], payload["dataset"], payload["owner"])
    if named != (grant.id, grant.dataset, grant.owner):
        raise RefusedError(f"{act.rule.type}: leaf {index} is not the grant it names")
    current = current_grant(state, index)
    if current is None:
        last = state.grant_at[lineage(state, index)[-1]]
        raise RefusedError(f"{act.rule.type}: the grant was stopped by leaf {last.stopped_at}")
    return current


def check_withdrawn(state: Tables, act: Act) -> None:
    """Refuse consent.withdrawn unless it names a grant that has not stopped."""
    _named_grant(state, act, act.payload["stops"][0])


def check_paused(state: Tables, act: Act) -> None:
    """Refuse consent.paused for a grant that has stopped or is paused."""
    if _named_grant(state, act, act.payload["stops"][0]).paused_at is not None:
        raise RefusedError("consent.paused: the grant is paused already")


def apply_grant_stop(state: Tables, act: Act) -> None:
    """Note the entry at its dataset; the stop itself acts through the leaf."""
    state.journal.push(state.datasets[act.payload["dataset"]].entries, act.index)


def check_resumed(state: Tables, act: Act) -> None:
    """Refuse consent.resumed where nothing is paused, or while the owner objects."""
    pause = act.payload["resumes"][0]
    for grant in state.paused_by.get(pause, ()):
        if grant.paused_at == pause and grant.stopped_at is None:
            _named_grant(state, act, grant.index)
            if grant.owner in state.objections:
                raise RefusedError("consent.resumed: the owner objects to every use")
            return
    raise UnknownReference(f"consent.resumed: leaf {pause} pauses nothing")


def apply_resumed(state: Tables, act: Act) -> None:
    """Put the grants that this pause holds in force again."""
    pause = act.payload["resumes"][0]
    for grant in state.paused_by[pause]:
        if grant.paused_at == pause:
            state.journal.change(grant, "paused_at", None)
            state.touched.append(grant.dataset)
    apply_grant_stop(state, act)


def require_all_stopped(state: Tables, act: Act, datasets: Sequence[str]) -> None:
    """Refuse unless `stops` names exactly the grants of these datasets still in force."""
    live = sorted(grant.index for name in datasets for grant in state.datasets[name].live())
    stops = [at for at in act.payload["stops"] if at not in state.absent]
    if stops != live:
        raise RefusedError(
            f"{act.rule.type}: stops must name every grant in force ({len(live)}) and no other; "
            "read the ledger again and sign anew"
        )


def check_objection(state: Tables, act: Act) -> None:
    """Refuse objection.raised twice, or without naming every grant in force."""
    owner = act.payload["owner"]
    if owner in state.objections:
        raise RefusedError("objection.raised: the owner objects already")
    require_all_stopped(state, act, state.parties[owner].datasets)


def apply_objection(state: Tables, act: Act) -> None:
    """Note that the owner objects to every use; the stops act through the leaf."""
    owner = act.payload["owner"]
    state.journal.add(state.objections, owner)
    state.touched.extend(state.parties[owner].datasets)
    state.journal.push(state.parties[owner].entries, act.index)


def check_objection_lifted(state: Tables, act: Act) -> None:
    """Refuse objection.lifted where there is no objection."""
    if act.payload["owner"] not in state.objections:
        raise RefusedError("objection.lifted: the owner has raised no objection")


def apply_objection_lifted(state: Tables, act: Act) -> None:
    """Let the owner's consents be judged again; the ones stopped stay so."""
    owner = act.payload["owner"]
    state.journal.discard(state.objections, owner)
    state.touched.extend(state.parties[owner].datasets)
    state.journal.push(state.parties[owner].entries, act.index)


def check_offer(state: Tables, act: Act) -> None:
    """Refuse offer.published twice, or of a dataset that is not the owner's and live."""
    if act.payload["offer"] in state.offers:
        raise RefusedError(f"offer.published: offer {act.payload['offer']} exists already")
    for name in act.payload["datasets"]:
        live_dataset(state, act, name)


def apply_offer(state: Tables, act: Act) -> None:
    """Add the offer. Terms of consents already given stay theirs."""
    payload, do = act.payload, state.journal
    offer = Offer(
        id=payload["offer"],
        owner=payload["owner"],
        datasets=tuple(payload["datasets"]),
        terms=state.share(payload["terms"]),
        facets=state.share(payload["facets"]),
        index=act.index,
    )
    do.put(state.offers, offer.id, offer)
    for name in offer.datasets:
        do.push(state.datasets[name].entries, act.index)


def check_offer_withdrawn(state: Tables, act: Act) -> None:
    """Refuse offer.withdrawn unless the owner published it and it stands."""
    offer = state.offers.get(act.payload["offer"])
    if offer is None or offer.owner != act.payload["owner"]:
        raise UnknownReference("offer.withdrawn: the owner published no such offer")
    if offer.withdrawn is not None:
        raise RefusedError("offer.withdrawn: this offer is withdrawn already")


def apply_offer_withdrawn(state: Tables, act: Act) -> None:
    """Withdraw the offer."""
    offer = state.offers[act.payload["offer"]]
    state.journal.change(offer, "withdrawn", act.index)
    for name in offer.datasets:
        state.journal.push(state.datasets[name].entries, act.index)


def check_share(state: Tables, act: Act) -> None:
    """Refuse share.given twice, or of a dataset that is not the owner's and live."""
    live_dataset(state, act, act.payload["dataset"])
    if act.payload["share"] in state.shares:
        raise RefusedError(f"share.given: share {act.payload['share']} exists already")


def apply_share(state: Tables, act: Act) -> None:
    """Add the share and note the entry at its dataset."""
    p = act.payload
    item = Share(
        p["share"], p["owner"], p["dataset"], p["valid_until"], act.index, p["header_sha256"]
    )
    state.journal.put(state.shares, item.id, item)
    apply_grant_stop(state, act)


def check_share_stopped(state: Tables, act: Act) -> None:
    """Refuse share.stopped unless the owner gave it and it stands."""
    share = state.shares.get(act.payload["share"])
    named = (act.payload["owner"], act.payload["dataset"])
    if share is None or (share.owner, share.dataset) != named:
        raise UnknownReference("share.stopped: the owner gave no such share")
    if share.stopped is not None:
        raise RefusedError("share.stopped: this share is stopped already")


def apply_share_stopped(state: Tables, act: Act) -> None:
    """Stop the share."""
    state.journal.change(state.shares[act.payload["share"]], "stopped", act.index)
    apply_grant_stop(state, act)
