"""What an auditor's bundle must show of the cohort: who was used, and that each had agreed.

Every member is opened: grant, dataset, owner's registration, activity key. From the activity keys
the root of the access tree is computed again, and from the grants' own terms the matcher's answer.
That no stop came before needs the log's public leaves, which anybody can fetch.
Spec: DESIGN section 3.1 (no hidden use, stops act in the clear) and 4.1 (scope).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, StrictInt, StrictStr

from compute.bundle_entries import BundleEntry, Proven, Signers, prove_all
from compute.bundle_public import Story, opened_count
from compute.errors import BundleError
from compute.match import match_terms, parse_release, price_of
from compute.ontology import Ontology
from compute.prices import due
from compute.scope import parse_scope
from compute.terms import parse_purpose, parse_terms, terms_sha256
from compute.values import Value
from compute.verdict import Verdict
from ledger import (
    TrustPolicy,
    access_tag,
    activity_commitment,
    b64,
    leaf_hash,
    parse_leaf,
    tree_root,
    tree_root_of,
    unb64,
)

_GRANTS = ("consent.granted", "consent.rekeyed")


class BundleMember(Value):
    """One opened grant of a cohort: its leaf index, activity key (base64) and proving entries."""

    grant: StrictStr
    index: Annotated[StrictInt, Field(ge=0)]
    activity_key: StrictStr
    entries: tuple[BundleEntry, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """One grant as proved, with its dataset's entry and activity key."""

    grant: Proven
    dataset: Proven
    activity_key: bytes


def open_members(
    members: Sequence[BundleMember], trust: TrustPolicy, now_ms: int
) -> tuple[Opened, ...]:
    """Prove and open every member. Raises BundleError naming the grant's leaf index."""
    opened = tuple(_open(member, trust, now_ms) for member in members)
    if len({item.grant.payload["grant"] for item in opened}) != len(opened):
        raise BundleError("the bundle names a grant twice")
    return opened


def _open(member: BundleMember, trust: TrustPolicy, now_ms: int) -> Opened:
    entries = prove_all(member.entries, trust, now_ms)
    signers = Signers(trust)
    signers.learn(entries)
    grant = _find(entries, _GRANTS, "index", member.index)
    payload = grant.payload
    dataset = _find(entries, ("dataset.registered",), "dataset", payload["dataset"])
    owner, where = payload["owner"], f"grant at leaf {member.index}"
    if payload["grant"] != member.grant or dataset.payload["owner"] != owner:
        raise BundleError(f"{where}: its entries are of different people")
    signers.signed_by(dataset, owner, "owner")
    if b64(grant.entry.signatures[0].public_key) != dataset.payload["signing_key"]:
        signers.signed_by(grant, owner, "owner")
    if terms_sha256(payload["terms"]) != payload["terms_sha256"]:
        raise BundleError(f"{where}: its terms are not those it commits to")
    key = unb64(member.activity_key)
    if activity_commitment(key) != payload["activity_commitment"]:
        raise BundleError(f"{where}: the activity key is not the committed one")
    return Opened(grant, dataset, key)


def _find(entries: Sequence[Proven], types: Sequence[str], name: str, value: Any) -> Proven:
    for item in entries:
        here = item.index if name == "index" else item.payload.get(name)
        if item.leaf.type in types and here == value:
            return item
    raise BundleError(f"a member comes without its {types[0]}")


def cohort_is_recorded(story: Story, members: Sequence[Opened]) -> str:
    """The access tree of exactly these members has the root recorded before they were opened."""
    access = story.access.payload
    tags = sorted(access_tag(item.activity_key, access["access"]) for item in members)
    if len(tags) != opened_count(access):
        raise BundleError(f"{len(tags)} grants are shown, {opened_count(access)} were recorded")
    if tree_root_of(tags).hex() != access["cohort_root"]:
        raise BundleError("the members shown are not the cohort recorded")
    people = {
        (item.dataset.payload["owner"], item.dataset.payload["participant"]) for item in members
    }
    if len(people) != access["cohort_size"]:
        raise BundleError(f"{len(people)} people are shown, {access['cohort_size']} were recorded")
    return f"{len(tags)} grants of {len(people)} people give the recorded root"


def consents_match(story: Story, members: Sequence[Opened], ontology: Ontology | None) -> str:
    """Every member's own terms permit this purpose, buyer, query, place and release."""
    order, at = story.order.payload, story.access.leaf.time
    purpose, scope = parse_purpose(order["purpose"]), parse_scope(order["scope"])
    claims = story.signers.claims(order["researcher"], at)
    for item in members:
        grant = item.grant.payload
        match = match_terms(
            parse_terms(grant["terms"]),
            purpose,
            claims,
            family=str(order["query"].get("family")),
            release=order["release"],
            region=scope.region,
            now_ms=at,
            modalities=scope.modalities,
            ontology=ontology,
        )
        own_order = grant["order"] == order["order"]
        agreed = match.verdict is Verdict.NEEDS_OWNER and own_order
        if grant["order"] is not None and not own_order:
            raise BundleError(f"the grant at leaf {item.grant.index} is for another order")
        if match.verdict is not Verdict.PERMITTED and not agreed:
            reason = match.decisive
            raise BundleError(
                f"the grant at leaf {item.grant.index} does not permit: {reason.text}"
            )
        if grant["recipient"]["region"] != scope.region:
            raise BundleError(f"the grant at leaf {item.grant.index} is for another region")
    return f"{len(members)} consents permit this use"


def price_covers(story: Story, members: Sequence[Opened]) -> str:
    """The order's price, which was paid, is at least what the members' own terms ask for it."""
    order, at = story.order.payload, story.access.leaf.time
    purpose = parse_purpose(order["purpose"])
    claims = story.signers.claims(order["researcher"], at)
    amount, currency = order["price"]["amount"], order["price"]["currency"]
    prices = []
    for item in members:
        terms = parse_terms(item.grant.payload["terms"])
        price = price_of(terms, purpose, claims, at)
        if price is None or terms.currency != currency:
            raise BundleError(f"the grant at leaf {item.grant.index} has no price in {currency}")
        prices.append(price)
    asked = due(prices, parse_release(order["release"]))
    if amount < asked:
        raise BundleError(f"the members ask {asked} {currency}, the order's price is {amount}")
    return f"the members ask {asked} {currency}, the order's price is {amount}"


def consents_in_force(story: Story, members: Sequence[Opened], leaves: Iterable[bytes]) -> str:
    """No member's consent had ended when it was judged, nor before the result was published."""
    access = story.access.payload
    judged, until = access["judged_size"], story.result.index
    hashes: list[bytes] = []
    stops: list[tuple[int, bytes]] = []
    for index, data in enumerate(leaves):
        if index >= story.result.size:
            break
        hashes.append(leaf_hash(data))
        stops.append((index, data))
    if len(hashes) < story.result.size or tree_root(hashes) != story.result.root:
        raise BundleError("the leaves given are not those of the log this bundle is proved in")
    if tree_root(hashes[:judged]).hex() != access["judged_root"]:
        raise BundleError("the consents were judged at a root this log never had")
    watched = {item.grant.index for item in members}
    late = [index for index in watched if index >= judged]
    if late:
        raise BundleError(f"the grant at leaf {min(late)} was given after the cohort was judged")
    _no_stop(stops[:until], watched)
    return f"no stop of a member lies before leaf {until}"


def _no_stop(leaves: Iterable[tuple[int, bytes]], watched: set[int]) -> None:
    """Refuse a final stop of a watched grant, and a pause that nothing lifted."""
    paused: dict[int, int] = {}
    for index, data in leaves:
        leaf = parse_leaf(data)
        for stopped in watched.intersection(leaf.stops):
            if leaf.type != "consent.paused":
                raise BundleError(f"leaf {index} stopped the grant at leaf {stopped} before")
            paused[index] = stopped
        for resumed in leaf.resumes:
            paused.pop(resumed, None)
    if paused:
        index, stopped = next(iter(paused.items()))
        raise BundleError(f"leaf {index} paused the grant at leaf {stopped} for good")
