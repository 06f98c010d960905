"""Payouts: once a period, one transfer to each payee for everything it is owed, on the ledger.

In period n everybody is paid what was booked before n began, if it reaches the threshold and the
payee can be paid. The batch is written down whole before the first transfer, each transfer has a
key of its own, and is booked when Stripe has it: a crash anywhere repeats nothing; after a day,
when Stripe may have forgotten the key, the transfer is looked for first. When the batch is through,
payout.made puts its totals and a Merkle root over salted leaves on the ledger; only the payee sees
its own, with a proof.
"""

import hashlib
import hmac
import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import insert, update
from sqlmodel import Session, col, func, select

from ledger import canonical, leaf_hash, tree_root
from marketplace import book, book_store, currencies, outbox
from marketplace.book import Account
from marketplace.entries import new_id
from marketplace.errors import ConflictError, MarketError, NotFoundError, PaymentRefusedError
from marketplace.payees import CHARITY, CHARITY_PREFIX, charity_party
from marketplace.payment_values import TransferState
from marketplace.payments import KEYS_HOLD_MS
from marketplace.services import Services
from marketplace.tables import Payee, Payout, PayoutBatch

LOG = logging.getLogger(__name__)
PLANNED, SENT, FAILED = "planned", "sent", "failed"
SENDING, CLOSED = "sending", "closed"
BATCH = 200  # transfers a round: the rest of the background work goes on between
SENDERS = 4
AT_ONCE = 50  # transfers booked in one transaction

# Asked every round: built once.
_PLANNED = (
    select(Payout).where(col(Payout.state) == PLANNED).order_by(col(Payout.created_at)).limit(BATCH)
)
_ON_THEIR_WAY = (
    select(Payout.party, Payout.currency, func.sum(Payout.amount))
    .where(col(Payout.state) == PLANNED)
    .group_by(col(Payout.party), col(Payout.currency))
)
_OPEN_BATCHES = select(PayoutBatch.id).where(col(PayoutBatch.state) == SENDING)
_BUSY_BATCHES = select(Payout.batch_id).where(col(Payout.state) == PLANNED).distinct()


def period_of(now: int, period_ms: int) -> tuple[str, int]:
    """Return the name of the payout period a time (ms) lies in, and when it began."""
    number = now // period_ms
    return f"p{number}", number * period_ms


def payout_leaf(salt: str, payout: str, party: str, amount: int, currency: str) -> bytes:
    """Return HMAC-SHA256(salt, canonical payout): 32 bytes, a leaf of the batch's tree."""
    value = {"payout": payout, "party": party, "amount": amount, "currency": currency}
    return hmac.new(bytes.fromhex(salt), canonical(value), hashlib.sha256).digest()


def run(services: Services) -> int:
    """Plan this period's batches, send what waits, close what is through; return how many sent."""
    settings, now = services.config.payouts, services.clock()
    period, began = period_of(now, settings.period_ms)
    plan_period(services, period, began)
    return work(services)


def work(services: Services) -> int:
    """Send planned transfers and close finished batches; return how many were sent."""
    sent, planned = 0, _planned(services)
    if planned:
        with ThreadPoolExecutor(SENDERS) as pool:
            for start in range(0, len(planned), AT_ONCE):
                sent += _send(services, planned[start : start + AT_ONCE], pool)
    _close_finished(services)
    return sent


def plan_period(services: Services, period: str, before: int) -> list[str]:
    """Write down who is paid what in a period; return the ids of new batches.

    before: only what was booked before this time (ms) is paid. A currency's batch of a period is
    made once.
    """
    with services.db.write() as session:
        _pass_on(services, session, period, before)
        made = []
        for currency, due in _due(services, session, before).items():
            if not _has_batch(session, period, currency):
                made.append(_new_batch(services, session, period, currency, due))
        return made


def _has_batch(session: Session, period: str, currency: str) -> bool:
    query = select(PayoutBatch.id).where(
        col(PayoutBatch.period) == period, col(PayoutBatch.currency) == currency
    )
    return session.exec(query).first() is not None


def _pass_on(services: Services, session: Session, period: str, before: int) -> None:
    """Book what owners who chose a charity are owed as owed to the charity."""
    chosen = select(Payee.party, Payee.charity).where(col(Payee.mode) == CHARITY)
    givers: dict[str, str | None] = dict(iter(session.exec(chosen).all()))
    if not givers:
        return
    owed = _owed(session, Account.OWNERS_PAYABLE, before)
    for (party, currency), amount in owed.items():
        charity = givers.get(party)
        if charity is None:
            continue
        passed = book.share_passed_on(
            party, charity_party(charity), amount, currency, period=period,
            time=book_store.moment(services.clock()),
        )  # fmt: skip
        if not book_store.is_posted(session, passed.id):
            book_store.record(session, passed)


def _owed(session: Session, account: Account, before: int) -> dict[tuple[str, str], int]:
    """Return what the book owes, by party and currency, less what is on its way already.

    A transfer is booked once Stripe has it; until then it may have been made all the same, its
    answer lost, so another period must not pay it again.
    """
    owed = book_store.owed_before(session, account, before)
    for party, currency, amount in session.exec(_ON_THEIR_WAY).all():
        if (party, currency) in owed:
            owed[party, currency] -= int(amount)
    return {who: amount for who, amount in owed.items() if amount > 0}


def _due(
    services: Services, session: Session, before: int
) -> dict[str, list[tuple[str, str, int]]]:
    """Return by currency who is paid now: (party, Stripe account, minor units)."""
    ready = select(Payee.party, Payee.account_id).where(
        col(Payee.ready).is_(True), col(Payee.account_id).is_not(None)
    )
    accounts = {party: str(account) for party, account in session.exec(ready).all()}
    owed = _owed(session, Account.OWNERS_PAYABLE, before)
    # A charity is owed what was passed on just now, too.
    owed |= _owed(session, Account.CHARITY, services.clock() + 1)
    found: dict[str, list[tuple[str, str, int]]] = {}
    for (party, currency), amount in sorted(owed.items()):
        least = currencies.minor(services.config.payouts.minimum, currency)
        if party in accounts and amount >= max(1, least):
            found.setdefault(currency, []).append((party, accounts[party], amount))
    return found


def _new_batch(
    services: Services, session: Session, period: str, currency: str,
    due: Iterable[tuple[str, str, int]],
) -> str:  # fmt: skip
    now = services.clock()
    batch = PayoutBatch(id=new_id(), period=period, currency=currency, created_at=now)
    session.add(batch)
    session.flush()
    rows = [
        {
            "id": new_id(), "batch_id": batch.id, "party": party, "account_id": account,
            "amount": amount, "currency": currency, "state": PLANNED, "reversed": 0,
            "announced": 0, "salt": secrets.token_hex(32), "created_at": now, "changed_at": now,
        }
        for party, account, amount in due
    ]  # fmt: skip
    session.execute(insert(Payout), rows)
    return batch.id


def _planned(services: Services) -> list[Payout]:
    with services.db.read() as session:
        return list(session.exec(_PLANNED).all())


def _send(services: Services, payouts: Sequence[Payout], pool: ThreadPoolExecutor) -> int:
    """Send some transfers side by side and book them in one go; return how many were sent."""
    answers = pool.map(lambda payout: _transfer(services, payout), payouts)
    made = {p.id: answer for p, answer in zip(payouts, answers, strict=True) if answer is not None}
    with services.db.write() as session:
        return _sent(services, session, made) if made else 0


def _transfer(services: Services, payout: Payout) -> str | None:
    """Make a payout's transfer, or find the one its key made; return its id, None if not made."""
    account, group, key = payout.account_id, payout.batch_id, f"payout:{payout.id}"
    try:
        made = None
        if services.clock() - payout.created_at >= KEYS_HOLD_MS:
            made = services.payments.find_transfer(account, group, key)
        if made is None:
            made = services.payments.transfer(account, payout.amount, payout.currency, group, key)
    except PaymentRefusedError as error:
        # What it is owed stays booked and is in the next period's batch again.
        _fail(services, payout, str(error))
    except MarketError as error:
        LOG.warning("payout %s is not sent yet: %s", payout.id, error)
    else:
        return made.transfer_id
    return None


def _sent(services: Services, session: Session, made: Mapping[str, str]) -> int:
    """Book transfers that were made, by payout, each once; return how many were new."""
    now = services.clock()
    query = select(Payout).where(col(Payout.id).in_(list(made)), col(Payout.state) == PLANNED)
    waiting = session.exec(query.order_by(col(Payout.id)).with_for_update()).all()
    for payout in waiting:
        payout.state, payout.transfer_id, payout.changed_at = SENT, made[payout.id], now
        session.add(payout)
    session.flush()
    paid = [
        book.payout_sent(
            one.party, one.amount, one.currency, time=book_store.moment(now),
            transfer=made[one.id], account=account_of(one.party),
        )
        for one in waiting
    ]  # fmt: skip
    book_store.record_all(session, [(one, None) for one in paid])
    return len(waiting)


def account_of(party: str) -> Account:
    """Return which account of the book a payee's money is owed from."""
    return Account.CHARITY if party.startswith(CHARITY_PREFIX) else Account.OWNERS_PAYABLE


def _fail(services: Services, payout: Payout, error: str) -> None:
    LOG.error("payout %s was refused: %s", payout.id, error)
    with services.db.write() as session:
        mine = session.get_one(Payout, payout.id)
        if mine.state == PLANNED:
            mine.state, mine.error, mine.changed_at = FAILED, error[:200], services.clock()
            session.add(mine)
        payee = session.get(Payee, payout.party)
        if payee is not None:
            payee.ready = False  # until Stripe says again that transfers reach it
            session.add(payee)


def _close_finished(services: Services) -> None:
    with services.db.read() as session:
        open_ones = session.exec(_OPEN_BATCHES).all()
        busy = set(session.exec(_BUSY_BATCHES).all()) if open_ones else set()
    for batch in open_ones:
        if batch not in busy:
            with services.db.write() as session:
                _close(services, session, batch)


def _close(services: Services, session: Session, batch_id: str) -> None:
    """Sign a finished batch's totals and root, and what came back since the last one."""
    batch = session.get_one(PayoutBatch, batch_id)
    columns: Any = (Payout.id, Payout.salt, Payout.party, Payout.amount, Payout.currency)
    query: Any = select(*columns).where(col(Payout.batch_id) == batch_id, col(Payout.state) == SENT)
    sent = session.exec(query).all()
    batch.state = CLOSED
    session.add(batch)
    leaves = sorted((_leaf(one), one.id) for one in sent)
    places = [{"id": payout, "position": place} for place, (_hash, payout) in enumerate(leaves)]
    if places:
        session.execute(update(Payout), places)
    came_back = _announce_reversals(session, batch.currency)
    if not sent and not came_back:
        return
    fields = {
        "payout": batch.id,
        "period": batch.period,
        "currency": batch.currency,
        "amount": sum(one.amount for one in sent),
        "reversed": came_back,
        "payouts": len(sent),
        "payout_root": tree_root(leaf_hash(leaf) for leaf, _id in leaves).hex(),
    }
    entry = services.signer.sign("payout.made", fields, now=services.clock(), id_=new_id())
    outbox.enqueue(session, entry, dedupe=f"payout:{batch.id}", now=services.clock())


def _leaf(payout: Any) -> bytes:
    """Return the leaf of a payout (its row, or the columns that make one)."""
    return payout_leaf(payout.salt, payout.id, payout.party, payout.amount, payout.currency)


def _announce_reversals(session: Session, currency: str) -> int:
    query = select(Payout).where(
        col(Payout.currency) == currency, col(Payout.reversed) > col(Payout.announced)
    )
    total = 0
    for payout in session.exec(query).all():
        total += payout.reversed - payout.announced
        payout.announced = payout.reversed
        session.add(payout)
    return total


def reverse(services: Services, payout_id: str, amount: int | None) -> Payout:
    """Take part or all of a payout back, e.g. one sent in error; it is owed again.

    Raises NotFoundError, ConflictError, and the Payment errors (the account may be empty).
    """
    with services.db.read() as session:
        payout = session.get(Payout, payout_id)
    if payout is None or payout.transfer_id is None:
        raise NotFoundError(f"there is no payout {payout_id[:32]} that was sent")
    left = payout.amount - payout.reversed
    wanted = left if amount is None else amount
    if not 0 < wanted <= left:
        raise ConflictError(f"only {left} of this payout can come back, not {wanted}")
    key = f"reverse:{payout.id}:{payout.reversed}:{wanted}"
    state = services.payments.reverse_transfer(payout.transfer_id, wanted, key)
    with services.db.write() as session:
        apply(services, session, state)
        return session.get_one(Payout, payout_id)


def apply(services: Services, session: Session, state: TransferState) -> None:
    """Act on what the provider says of a transfer now; doing it again changes nothing."""
    query = select(Payout).where(col(Payout.transfer_id) == state.transfer_id)
    payout = session.exec(query.with_for_update()).first()
    if payout is None or state.reversed <= payout.reversed:
        return
    back = state.reversed - payout.reversed
    reversal = book.payout_reversed(
        payout.party, back, payout.currency, time=book_store.moment(services.clock()),
        reversal=f"{state.transfer_id}:{state.reversed}", account=account_of(payout.party),
    )  # fmt: skip
    book_store.record(session, reversal)
    payout.reversed, payout.changed_at = state.reversed, services.clock()
    session.add(payout)


def payouts_of(session: Session, party: str) -> list[Payout]:
    """Return a payee's payouts, newest first."""
    query = select(Payout).where(col(Payout.party) == party)
    return list(session.exec(query.order_by(col(Payout.created_at).desc())).all())


def proof_of(services: Services, session: Session, payout: Payout) -> Mapping[str, Any] | None:
    """Return what proves a payout against its batch's payout.made entry, once that is signed."""
    if payout.position is None:
        return None
    tree = services.share_trees.get(payout.batch_id, lambda: _hashes(session, payout.batch_id))
    return {
        "salt": payout.salt,
        "index": payout.position,
        "size": tree.size,
        "proof": [step.hex() for step in tree.proof(payout.position)],
        "payout_root": tree.root.hex(),
    }


def _hashes(session: Session, batch_id: str) -> list[bytes]:
    rows = session.exec(
        select(Payout)
        .where(col(Payout.batch_id) == batch_id, col(Payout.position).is_not(None))
        .order_by(col(Payout.position))
    ).all()
    return [leaf_hash(_leaf(row)) for row in rows]


def batches(services: Services) -> list[dict[str, Any]]:
    """Return the newest batches with totals, for the operator."""
    with services.db.read() as session:
        rows = session.exec(
            select(PayoutBatch).order_by(col(PayoutBatch.created_at).desc()).limit(50)
        ).all()
        return [_batch_view(session, row) for row in rows]


def _batch_view(session: Session, batch: PayoutBatch) -> dict[str, Any]:
    query = (
        select(Payout.state, func.count(), func.sum(Payout.amount), func.sum(Payout.reversed))
        .where(col(Payout.batch_id) == batch.id)
        .group_by(col(Payout.state))
    )
    states = {
        state: {"payouts": int(n), "amount": int(amount), "reversed": int(back)}
        for state, n, amount, back in session.exec(query).all()
    }
    return {
        "batch": batch.id,
        "period": batch.period,
        "currency": batch.currency,
        "state": batch.state,
        "by_state": states,
        "created_at": batch.created_at,
    }
