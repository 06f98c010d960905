"""kill -9 of the process that pays owners, at each moment: every owner is paid once."""

import signal

from sqlmodel import select

from marketplace import book, book_store, settlement
from marketplace.tables import OutboxRow, Payee, Payout, PayoutBatch
from tests.marketplace.devstripe_harness import running
from tests.marketplace.dying import child
from tests.marketplace.market_world import World, new_id
from tests.marketplace.payout_crash import MOMENTS, adapter

PEOPLE = 9
EARNED = 3_000  # minor units for the first owner; each gets one more than the one before
BATCH_MOMENTS = ("planned", "closed, not committed")


def earn(world, payments, parties):
    """Let owners earn, from a payment that really lies at the provider."""
    amounts = {party: EARNED + place for place, party in enumerate(parties)}
    total, day_before = sum(amounts.values()), book_store.moment(world.clock() - 8 * 86_400_000)
    made = payments.create_checkout("order", total, "gbp", "x", "k")
    with world.services.db.write() as session:
        paid = book.payment_received("order", total, "gbp", time=day_before, payment="p")
        split = book.order_settled("order", "gbp", amounts, {}, time=day_before)
        book_store.record_all(session, [(paid, None)])
        book_store.record_all(session, [(split, None)])
        for place, party in enumerate(parties):
            account = payments.create_account(party, "GB", f"a{place}").account_id
            session.add(Payee(party=party, account_id=account, ready=True, changed_at=0))
    return made.session_id, amounts


def rows(world, table):
    with world.services.db.read() as session:
        return session.exec(select(table)).all()


def test_owners_are_paid_once_however_often_the_market_dies(tmp_path):
    parties = [new_id() for _ in range(PEOPLE)]
    with running(tmp_path / "provider", hook=False) as dev:
        payments, world = adapter(dev.url), World(tmp_path)
        checkout, amounts = earn(world, payments, parties)
        dev.dev(f"checkout/{checkout}/pay")
        for payee in rows(world, Payee):
            dev.dev(f"accounts/{payee.account_id}/onboard")
        for moment in MOMENTS:
            for count in (1,) if moment in BATCH_MOMENTS else (1, 2):
                died = child("payout_crash", tmp_path, dev.url, moment, count)
                assert died.returncode == -signal.SIGKILL, (moment, died.stderr[-500:])
        lived = child("payout_crash", tmp_path, dev.url, "never", 0)
        assert lived.returncode == 0, lived.stderr[-500:]
        (batch,) = rows(world, PayoutBatch)
        sent = payments.list_transfers(batch.id)
        accounts = {payee.account_id: payee.party for payee in rows(world, Payee)}
        assert {accounts[one.account]: one.amount for one in sent} == amounts
        assert len(sent) == PEOPLE
    assert {(one.state, one.party) for one in rows(world, Payout)} == {
        ("sent", party) for party in parties
    }
    (stated,) = [one for one in rows(world, OutboxRow) if one.type == "payout.made"]
    assert stated.submission
    assert settlement.trial_balance(world.services) == {"gbp": {}}
    world.close()
