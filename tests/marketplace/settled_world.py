"""An order that is paid and answered, written straight into the database for many people."""

import secrets

from compute import parse_release
from marketplace import book_store, quotes
from marketplace.book import payment_received
from marketplace.tables import Order, Payment, Quote

GENOTYPES = frozenset({"genotypes"})


def answered_order(world, people, name=None):
    """Make an order whose answer is out and whose money waits to be split; return its id.

    people: for how many it was priced; fewer may take part.
    """
    release = parse_release({"mode": "trusted", "rho": "0"})
    cost = quotes.price({"genotypes": 200}, people, release, world.services.config.fees)
    body = {"items": [dict(item) for item in cost.items], "compute_fee": cost.compute_fee}
    now, name = world.clock(), name or secrets.token_hex(16)
    with world.services.db.write() as session:
        for row in (
            Quote(id=name, party="r", body=body, sha256="", created_at=now, valid_until=now),
            Order(
                id=name, researcher="r", quote_id=name, state="releasing", payload={},
                placed_index=1, amount=cost.total, platform_fee=cost.platform_fee,
                compute_fee=cost.compute_fee, owners_total=cost.owners_total, currency="gbp",
                access=secrets.token_hex(16), created_at=now, changed_at=now, deadline=now,
            ),
            Payment(
                id=name, order_id=name, provider="stripe-test", checkout_id=f"cs_{name}",
                checkout_url="", idempotency_key=name, amount=cost.total, currency="gbp",
                reference_salt="00" * 32, state="received", created_at=now, changed_at=now,
            ),
        ):  # fmt: skip
            session.add(row)
            session.flush()
        paid = payment_received(name, cost.total, "gbp", time=book_store.moment(now), payment=name)
        book_store.record(session, paid, name)
    return name
