"""What a bundle's public entries must show: order, payment, access, reviews and result, in order.

Each check is one sentence a reader can follow; it returns what it found or raises BundleError.
Roots and counts only: nothing here needs to know who is in the cohort.
Spec: DESIGN section 1 (order, compute) and 3.1 (the ledger's order decides in flight).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from compute.bundle_entries import Proven, Signers
from compute.errors import BundleError
from compute.result import ResultDocument, check_opening
from ledger import canonical

REVIEWERS_NEEDED = 2


@dataclass(frozen=True, slots=True)
class Story:
    """The public entries of one order, told apart."""

    order: Proven
    access: Proven
    result: Proven
    payments: tuple[Proven, ...]
    reviews: tuple[Proven, ...]
    signers: Signers
    document: ResultDocument

    @property
    def trusted(self) -> bool:
        """Tell whether the order asked for exact figures after review."""
        return bool(self.order.payload["release"]["mode"] == "trusted")


def tell(
    entries: Sequence[Proven], order: str, access: str, signers: Signers, document: ResultDocument
) -> Story:
    """Find an order's entries among those proved. Raises BundleError when one is missing."""
    signers.learn(entries)
    of_order = [item for item in entries if item.payload.get("order") == order]
    return Story(
        order=_one(of_order, "order.placed"),
        access=_one([i for i in of_order if i.payload.get("access") == access], "access.recorded"),
        result=_one([i for i in of_order if i.payload.get("access") == access], "result.published"),
        payments=tuple(i for i in of_order if i.leaf.type.startswith("payment.")),
        reviews=tuple(i for i in of_order if i.leaf.type == "review.decided"),
        signers=signers,
        document=document,
    )


def _one(entries: Sequence[Proven], type_: str) -> Proven:
    found = [item for item in entries if item.leaf.type == type_]
    if len(found) != 1:
        raise BundleError(f"the bundle must hold one {type_} of this order, and holds {len(found)}")
    return found[0]


def order_signed(story: Story) -> str:
    """The researcher signed the order, with purpose, query, price and undertaking."""
    researcher = story.order.payload["researcher"]
    story.signers.signed_by(story.order, researcher, "researcher")
    return f"signed by researcher {researcher}, entry {story.order.index}"


def buyer_attested(story: Story) -> str:
    """Pinned attesters said of the buyer what the release mode needs, at the time of access."""
    researcher = story.order.payload["researcher"]
    at = story.access.leaf.time
    claims = story.signers.claims(researcher, at)
    if not claims.attested:
        raise BundleError("no attester we trust says anything of the buyer")
    if story.trusted and claims.value("accredited_researcher", at) is not True:
        raise BundleError("trusted release, and the buyer is not attested as accredited")
    return f"attested: {', '.join(sorted(claims.attested))}"


def paid(story: Story) -> str:
    """The marketplace recorded at least the price before anything was opened."""
    price = story.order.payload["price"]
    total = 0
    for item in story.payments:
        story.signers.by_service(item, "marketplace")
        if item.leaf.type == "payment.disputed":
            raise BundleError(f"the payment is disputed, entry {item.index}")
        if item.payload["currency"] != price["currency"]:
            raise BundleError(f"entry {item.index} is in another currency than the price")
        sign = {"payment.received": 1, "payment.refunded": -1}[item.leaf.type]
        if item.index < story.access.index:
            total += sign * item.payload["amount"]
    if total < price["amount"]:
        raise BundleError(f"{total} was paid before the access, the price is {price['amount']}")
    return f"{total} {price['currency']} paid, price {price['amount']}"


def by_compute(story: Story) -> str:
    """The pinned compute service recorded the access and published the result."""
    for item in (story.access, story.result):
        story.signers.by_service(item, "compute")
    return "access and result are signed by the pinned compute identity"


def same_query(story: Story) -> str:
    """Order, access and result name one query and one code."""
    payload, document = story.order.payload, story.document
    if sha256(canonical(payload["query"])).hexdigest() != payload["query_digest"]:
        raise BundleError("the order's query is not the one its digest names")
    if document.query != payload["query"]:
        raise BundleError("the result answers another query than the order's")
    for name in ("query_digest", "code_digest"):
        if not payload[name] == story.access.payload[name] == getattr(document, name):
            raise BundleError(f"order, access and result differ in {name}")
    return f"query {payload['query_digest'][:16]}…, code {payload['code_digest'][:16]}…"


def same_release(story: Story) -> str:
    """The answer left in the release mode that was ordered and recorded.

    A private access that charges nothing repeats an answer given before.
    """
    asked, recorded = story.order.payload["release"], story.access.payload["release"]
    free = asked["mode"] == "private" and recorded == {**asked, "rho": "0"}
    if story.document.release != asked or not (recorded == asked or free):
        raise BundleError("order, access and result differ in the release")
    return f"{asked['mode']} release{', an answer given before: no charge' if free else ''}"


def in_sequence(story: Story) -> str:
    """Order, access and result stand in this order in the log, judged where the access says."""
    order, access, result = story.order.index, story.access.index, story.result.index
    judged = story.access.payload["judged_size"]
    if not order < judged <= access < result:
        raise BundleError(
            f"order {order}, judged at {judged}, access {access}, result {result}: not in sequence"
        )
    return f"order {order} < judged at {judged} <= access {access} < result {result}"


def reviewed(story: Story) -> str:
    """In trusted mode two attested reviewers, not the researcher, approved these very bytes."""
    if not story.trusted:
        return "private release: no review is needed"
    commitment, approved = story.result.payload["commitment"], set()
    for item in story.reviews:
        if item.payload["draft_commitment"] != commitment or item.index > story.result.index:
            continue
        reviewer = item.payload["reviewer"]
        story.signers.signed_by(item, reviewer, "reviewer")
        claims = story.signers.claims(reviewer, item.leaf.time)
        if claims.value("output_reviewer", item.leaf.time) is not True:
            raise BundleError(f"reviewer {reviewer} is not attested as one")
        if item.payload["decision"] != "approve":
            raise BundleError(f"reviewer {reviewer} rejected this result")
        if reviewer != story.order.payload["researcher"]:
            approved.add(reviewer)
    if len(approved) < REVIEWERS_NEEDED:
        raise BundleError(f"{len(approved)} reviewers approved this result, not {REVIEWERS_NEEDED}")
    return f"approved by {len(approved)} reviewers"


def opens(story: Story) -> str:
    """The answer shown is the one whose salted commitment stands in the log."""
    document, published = story.document, story.result.payload
    if (document.order, document.access) != (published["order"], published["access"]):
        raise BundleError("the result is of another order or access")
    check_opening(document, published["commitment"])
    return f"the answer opens the commitment in entry {story.result.index}"


def opened_count(access: Any) -> int:
    """Return how many grants an access entry opened (leaves of its tree)."""
    return int(access["opened"])
