"""The fold as rows of plain JSON values, and back: what `ledger.snapshot` keeps.

Pure. A row is a list of JSON values in the order of its record's fields. Values that many records
share (terms, facets, formats) are written once and named by their number, so that they are shared
again afterwards. What was erased is written without what it said.
"""

from binascii import a2b_base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from operator import attrgetter
from typing import Any

import orjson

from ledger.envelope import b64, canonical_parsed
from ledger.fold_model import (
    Access,
    Attestation,
    ComputeKey,
    CustodianSplit,
    Dataset,
    Done,
    Grant,
    Key,
    Mandate,
    Offer,
    OperatorAct,
    OrderState,
    Party,
    Payment,
    Recovery,
    Review,
    Share,
    Tables,
)
from ledger.leaf import format_leaf, parse_leaf
from ledger.state import State
from ledger.trust import Pins

CHUNK = 4096
Chunk = tuple[str, list[Any]]
"""A table's name and some of its rows."""
_NOTHING: dict[str, Any] = {}
_SCALARS = ("personal", "size", "time", "undecidable")
_SETS = ("objections", "missing", "erased", "ids")
_PAIR_SETS = ("references", "bank_marks")
_DICTS = ("settlements", "erased_datasets", "key_owner")
_LISTS = ("violations", "dangling")


def _columns(record: type) -> Callable[[Any], tuple[Any, ...]]:
    return attrgetter(*(field.name for field in fields(record)))


def _places(record: type) -> dict[str, int]:
    return {field.name: at for at, field in enumerate(fields(record))}


_GRANT, _DATASET, _OFFER, _PARTY = map(_columns, (Grant, Dataset, Offer, Party))
_ORDER, _MANDATE, _SHARE, _KEY = map(_columns, (OrderState, Mandate, Share, Key))
_COMPUTE_KEY, _RECOVERY, _PAYMENT = map(_columns, (ComputeKey, Recovery, Payment))
_REVIEW, _SPLIT = map(_columns, (Review, CustodianSplit))
_G, _D, _F, _P, _O = map(_places, (Grant, Dataset, Offer, Party, OrderState))


def rows_of(state: Tables) -> Iterator[Chunk]:
    """Yield the whole fold, in the order `Rebuilt.add` takes it."""
    yield "scalars", [[getattr(state, name) for name in _SCALARS]]
    values = _Values()
    gone = {name for name, item in state.datasets.items() if item.erased}
    grants = (_grant_row(grant, values, grant.dataset in gone) for grant in state.grant_at.values())
    yield from values.before("grants", grants)
    datasets = (_dataset_row(dataset, values) for dataset in state.datasets.values())
    yield from values.before("datasets", datasets)
    offers = (
        _offer_row(offer, values, gone.issuperset(offer.datasets))
        for offer in state.offers.values()
    )
    yield from values.before("offers", offers)
    for name, rows in _plain_rows(state):
        yield from _chunks(name, rows)


def _plain_rows(state: Tables) -> Iterator[tuple[str, Iterable[Any]]]:
    yield "parties", map(_party_row, state.parties.values())
    yield "mandates", map(_MANDATE, state.mandates.values())
    yield "recoveries", map(_RECOVERY, {id(one): one for one in state.recoveries.values()}.values())
    yield "recovery_names", ((name, one.id) for name, one in state.recoveries.items())
    yield "recovering", ((key, one.id) for key, one in state.recovering.items())
    yield "shares", map(_SHARE, state.shares.values())
    yield "orders", map(_order_row, state.orders.values())
    yield "accesses", ((one.id, one.index, _raw(one.payload)) for one in state.accesses.values())
    yield "compute_keys", map(_COMPUTE_KEY, state.compute_keys.values())
    yield "compute_releases", map(_done_row, state.compute_releases)
    yield "payouts", ((name, _done_row(done)) for name, done in state.payouts.items())
    yield (
        "custodian_splits",
        ((name, list(map(_SPLIT, splits))) for name, splits in state.custodian_splits.items()),
    )
    acts = state.operator_acts.values()
    yield (
        "operator_acts",
        ((a.index, a.time, a.actor, a.action, _raw(a.details)) for a in acts),
    )
    yield "paused_by", ((at, [g.index for g in held]) for at, held in state.paused_by.items())
    yield "absent", ((at, format_leaf(leaf).decode()) for at, leaf in state.absent.items())
    # A key belongs to its party for ever, also once removed; a closed account is forgotten.
    owners = ((key, party) for key, party in state.key_owner.items() if party in state.parties)
    yield "key_owner", owners
    for name in ("settlements", "erased_datasets"):
        yield name, getattr(state, name).items()
    for name in _SETS + _PAIR_SETS + _LISTS:
        yield name, getattr(state, name)


def _chunks(name: str, rows: Iterable[Any]) -> Iterator[Chunk]:
    waiting = iter(rows)
    while part := list(islice(waiting, CHUNK)):
        yield name, part


class _Values:
    """Numbers shared values in the order they are first met, and hands them out before use."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._fresh: list[orjson.Fragment] = []

    def number(self, value: Mapping[str, Any]) -> int:
        known = self._numbers.get(id(value))
        if known is None:
            known = self._numbers[id(value)] = len(self._numbers)
            self._fresh.append(_raw(value))
        return known

    def before(self, name: str, rows: Iterable[Any]) -> Iterator[Chunk]:
        for chunk in _chunks(name, rows):
            if self._fresh:
                yield "values", self._fresh
                self._fresh = []
            yield chunk


def _raw(value: Mapping[str, Any]) -> orjson.Fragment:
    # Written for itself: a payload may be as deep as a JSON writer goes, and then not deeper.
    return orjson.Fragment(canonical_parsed(value))


def _grant_row(grant: Grant, values: _Values, erased: bool) -> list[Any]:
    row = list(_GRANT(grant))
    for name in ("body", "facets", "recipient"):
        row[_G[name]] = values.number(_NOTHING if erased else row[_G[name]])
    if erased:
        row[_G["window"]] = _NOTHING
        for name in ("terms_sha256", "sealed_grant_sha256", "activity_commitment"):
            row[_G[name]] = ""
    return row


def _dataset_row(dataset: Dataset, values: _Values) -> list[Any]:
    row = list(_DATASET(dataset))
    row[_D["format"]] = values.number(_NOTHING if dataset.erased else dataset.format)
    if dataset.erased:
        for name in ("participant", "ciphertext_sha256", "signing_key"):
            row[_D[name]] = ""
    row[_D["standing"]] = dataset.standing and dataset.standing.index
    row[_D["per_order"]] = dataset.per_order and [g.index for g in dataset.per_order.values()]
    return row


def _offer_row(offer: Offer, values: _Values, erased: bool) -> list[Any]:
    row = list(_OFFER(offer))
    for name in ("terms", "facets"):
        row[_F[name]] = values.number(_NOTHING if erased else row[_F[name]])
    return row


def _party_row(party: Party) -> list[Any]:
    row = list(_PARTY(party))
    keys = party.keys.items()
    row[_P["keys"]] = [(name, b64(key.public_key), *_KEY(key)[1:]) for name, key in keys]
    row[_P["attestations"]] = [
        (one.index, _raw(one.claims), one.expires_at, one.attester) for one in party.attestations
    ]
    return row


def _done_row(done: Done | None) -> list[Any] | None:
    return None if done is None else [done.index, _raw(done.payload)]


def _order_row(order: OrderState) -> list[Any]:
    row = list(_ORDER(order))
    row[_O["payload"]] = _raw(order.payload)
    for name, write in (("payments", _PAYMENT), ("reviews", _REVIEW), *_DONE_LISTS):
        row[_O[name]] = list(map(write, row[_O[name]]))
    for name in _DONE_FIELDS:
        row[_O[name]] = _done_row(row[_O[name]])
    return row


_DONE_FIELDS = ("result", "settlement")
_DONE_LISTS = (("refusals", _done_row), ("withheld", _done_row))


class Rebuilt:
    """A state being put together again from its rows."""

    def __init__(self, pins: Pins) -> None:
        self.state = State(pins)
        self._values: list[Any] = []
        self._known: set[int] = set()
        self._recoveries: dict[str, Recovery] = {}

    def add(self, name: str, rows: Sequence[Any]) -> None:
        """Take the next chunk. Raises KeyError, ValueError or TypeError for what is none."""
        if name in _SETS:
            getattr(self.state, name).update(rows)
        elif name in _PAIR_SETS or name in _DICTS:
            getattr(self.state, name).update(map(tuple, rows))
        elif name in _LISTS:
            getattr(self.state, name).extend(map(tuple, rows))
        else:
            take = _TAKE[name]
            for row in rows:
                take(self, row)

    def scalars(self, row: list[Any]) -> None:
        """Take the state's own numbers."""
        for name, value in zip(_SCALARS, row, strict=True):
            setattr(self.state, name, value)

    def value(self, row: Any) -> None:
        """Take a value that rows after it share, by its number."""
        self._values.append(row)

    def _shared(self, number: int) -> Any:
        """Return a shared value, and let later entries find it by its bytes."""
        value = self._values[number]
        if number not in self._known:
            self._known.add(number)
            value = self._values[number] = self.state.share(value)
        return value

    def grant(self, row: list[Any]) -> None:
        """Take a grant; its shared values came before."""
        for name in ("body", "facets", "recipient"):
            row[_G[name]] = self._shared(row[_G[name]])
        grant = Grant(*row)
        self.state.grant_at[grant.index] = self.state.grants[grant.id] = grant

    def dataset(self, row: list[Any]) -> None:
        """Take a dataset; its grants came before."""
        at, live = self.state.grant_at, row[_D["per_order"]]
        standing = row[_D["standing"]]
        row[_D["format"]] = self._shared(row[_D["format"]])
        row[_D["standing"]] = None if standing is None else at[standing]
        if live is not None:
            row[_D["per_order"]] = {str(at[one].order): at[one] for one in live}
        dataset = Dataset(*row)
        self.state.datasets[dataset.id] = dataset
        if not dataset.erased:
            self.state.participants[dataset.participant] = dataset.owner

    def offer(self, row: list[Any]) -> None:
        """Take an offer; its shared values came before."""
        row[_F["datasets"]] = tuple(row[_F["datasets"]])
        for name in ("terms", "facets"):
            row[_F[name]] = self._shared(row[_F[name]])
        self.state.offers[row[0]] = Offer(*row)

    def party(self, row: list[Any]) -> None:
        """Take a party with its keys and attestations."""
        keys = row[_P["keys"]]
        row[_P["keys"]] = {name: Key(a2b_base64(key), *rest) for name, key, *rest in keys}
        row[_P["attestations"]] = [Attestation(*one) for one in row[_P["attestations"]]]
        self.state.parties[row[0]] = Party(*row)

    def mandate(self, row: list[Any]) -> None:
        """Take a mandate."""
        item = self.state.mandates[row[0]] = Mandate(*row)
        self.state.mandate_at[item.index] = item

    def recovery(self, row: list[Any]) -> None:
        """Take a recovery, which names after it refer to."""
        self._recoveries[row[0]] = Recovery(*row)

    def recovery_name(self, row: list[str]) -> None:
        """Take a name a recovery is known by."""
        self.state.recoveries[row[0]] = self._recoveries[row[1]]

    def recovering(self, row: list[str]) -> None:
        """Take the key that a recovery is about."""
        self.state.recovering[row[0]] = self._recoveries[row[1]]

    def share(self, row: list[Any]) -> None:
        """Take a share."""
        self.state.shares[row[0]] = Share(*row)

    def order(self, row: list[Any]) -> None:
        """Take an order with all that happened to it."""
        row[_O["payments"]] = [Payment(*one) for one in row[_O["payments"]]]
        row[_O["reviews"]] = [Review(*one) for one in row[_O["reviews"]]]
        for name, _ in _DONE_LISTS:
            row[_O[name]] = [Done(*one) for one in row[_O[name]]]
        for name in _DONE_FIELDS:
            row[_O[name]] = None if row[_O[name]] is None else Done(*row[_O[name]])
        self.state.orders[row[0]] = OrderState(*row)

    def access(self, row: list[Any]) -> None:
        """Take an access."""
        self.state.accesses[row[0]] = Access(*row)

    def compute_key(self, row: list[Any]) -> None:
        """Take a recipient key of compute."""
        self.state.compute_keys[row[0]] = ComputeKey(*row)

    def compute_release(self, row: list[Any]) -> None:
        """Take a release of compute."""
        self.state.compute_releases.append(Done(*row))

    def payout(self, row: list[Any]) -> None:
        """Take a payout."""
        self.state.payouts[row[0]] = Done(*row[1])

    def custodian_split(self, row: list[Any]) -> None:
        """Take a custodian's splits, oldest first."""
        self.state.custodian_splits[row[0]] = tuple(CustodianSplit(*one) for one in row[1])

    def operator_act(self, row: list[Any]) -> None:
        """Take what an operator stated."""
        self.state.operator_acts[row[0]] = OperatorAct(*row)

    def pause(self, row: list[Any]) -> None:
        """Take which grants a leaf paused; they came before."""
        self.state.paused_by[row[0]] = tuple(map(self.state.grant_at.__getitem__, row[1]))

    def absence(self, row: list[Any]) -> None:
        """Take a leaf whose envelope is missing."""
        self.state.absent[row[0]] = parse_leaf(row[1].encode())


_TAKE: dict[str, Callable[[Rebuilt, Any], None]] = {
    "scalars": Rebuilt.scalars,
    "values": Rebuilt.value,
    "grants": Rebuilt.grant,
    "datasets": Rebuilt.dataset,
    "offers": Rebuilt.offer,
    "parties": Rebuilt.party,
    "mandates": Rebuilt.mandate,
    "recoveries": Rebuilt.recovery,
    "recovery_names": Rebuilt.recovery_name,
    "recovering": Rebuilt.recovering,
    "shares": Rebuilt.share,
    "orders": Rebuilt.order,
    "accesses": Rebuilt.access,
    "compute_keys": Rebuilt.compute_key,
    "compute_releases": Rebuilt.compute_release,
    "payouts": Rebuilt.payout,
    "custodian_splits": Rebuilt.custodian_split,
    "operator_acts": Rebuilt.operator_act,
    "paused_by": Rebuilt.pause,
    "absent": Rebuilt.absence,
}
