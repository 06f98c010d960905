"""What must hold before anybody of a recorded cohort is opened, at a lead and at its helpers alike.

Believes no message and no earlier step: the order is read again from the ledger's fold, the access
entry must stand under the follower's verified checkpoint with the very tree that was signed, every
member's grant must be in force and in scope. Follow the log before calling anything here.
"""

from collections.abc import Sequence

from compute.genomes import genomes_of, one_each
from compute.orderbook import OrderInHand
from compute.selection import Member
from compute.vault import RecordedAccess, recorded_access
from compute.worker_entries import from_text, tree_of
from compute.worker_order import VerifiedOrder, read_order, require_price
from compute.worker_state import InHand, members_of, require_live
from ledger import tree_root_of


def verified(run: InHand) -> tuple[VerifiedOrder, tuple[Member, ...], RecordedAccess]:
    """Return an order at RECORDED, its members, and the token that opens exactly them.

    Raises JobRefusedError, MemberStoppedError, VaultRefusedError.
    """
    shop, held = run.shop, run.held
    require_live(run)
    order = read_order(shop, held.order, run.now())
    tags = tree_of(from_text(held.access_submission))
    token = recorded_access(shop.follower, str(held.access), tags)
    members = members_of(run, order)
    require_price(order, members)
    return order, members, token


def summed(run: InHand, members: Sequence[Member]) -> list[Member]:
    """Return whose data is summed: one person for each genome whose budget covers this access."""
    genomes = genomes_of(run.shop.store, members)
    charged = run.shop.accountant.summed(str(run.held.access))
    return one_each(members, genomes, frozenset(genomes.values()) - charged)


def offer_name(held: OrderInHand) -> str:
    """Return what an order's partial sums belong to: order, attempt and cohort root."""
    root = tree_root_of(sorted(tree_of(from_text(held.access_submission))))
    return f"{held.order}/{held.attempt}/{root.hex()}"
