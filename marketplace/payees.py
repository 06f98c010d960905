"""How a party is paid: a Stripe account of its own, or a charity in its place. Nobody must choose.

Shares wait, unpaid but never lost, until one of the two is chosen and Stripe's own onboarding is
done: Stripe asks the person for name and bank, the market never sees either. Who wants no money
passes it to a charity from the operator's list, which needs no account and no name.
"""

from typing import Any

from sqlmodel import Session, col, select

from marketplace.book import Account
from marketplace.donors import only_gives
from marketplace.errors import ConflictError, InputError, NotFoundError
from marketplace.payment_values import AccountState
from marketplace.services import Services
from marketplace.tables import BookLine, Charity, Payee

BANK, CHARITY = "bank", "charity"
CHARITY_PREFIX = "charity:"


def charity_party(code: str) -> str:
    """Return under which party name a charity is paid."""
    return CHARITY_PREFIX + code


def onboard(services: Services, party: str, country: str | None, back: str) -> str:
    """Return the address of Stripe's onboarding page for a party, opening its account first.

    country: needed once, to open the account. back: where Stripe sends the browser afterwards.
    Raises the Payment errors, InputError.
    """
    with services.db.read() as session:
        known = session.get(Payee, party)
    account = known.account_id if known else None
    if account is None:
        account = _open_account(services, party, country or "")
    with services.db.write() as session:
        payee = session.get(Payee, party) or Payee(party=party, changed_at=0)
        payee.mode, payee.account_id, payee.charity = BANK, account, None
        payee.changed_at = services.clock()
        session.add(payee)
    key = f"link:{party}:{services.clock()}"
    return services.payments.onboarding_link(account, back, back, key)


def _open_account(services: Services, party: str, country: str) -> str:
    if len(country) != 2 or not country.isalpha():
        raise InputError(
            "say in which country you live, by two letters such as GB (ISO 3166): "
            "the account is opened there, and Stripe cannot move it later"
        )
    return services.payments.create_account(party, country.upper(), f"account:{party}").account_id


def pass_on(services: Services, party: str, code: str) -> Payee:
    """Pass a party's money to a charity from the next payout on. Raises NotFoundError."""
    with services.db.write() as session:
        if session.get(Charity, code) is None:
            raise NotFoundError(f"there is no charity {code[:40]!r}; GET /charities lists them")
        payee = session.get(Payee, party) or Payee(party=party, changed_at=0)
        payee.mode, payee.charity, payee.changed_at = CHARITY, code, services.clock()
        session.add(payee)
        return payee


def keep(services: Services, party: str) -> Payee:
    """Stop passing money on: what is booked from now on waits for the party itself."""
    with services.db.write() as session:
        payee = session.get(Payee, party) or Payee(party=party, changed_at=0)
        payee.mode, payee.charity, payee.changed_at = BANK, None, services.clock()
        session.add(payee)
        return payee


def add_charity(services: Services, code: str, name: str) -> Charity:
    """Put a charity on the list. Raises InputError, ConflictError."""
    if not code.isidentifier() or len(code) > 40 or not name.strip():
        raise InputError("a charity needs a code such as heart_fund, and a name")
    with services.db.write() as session:
        if session.get(Charity, code) is not None:
            raise ConflictError(f"there is a charity {code} already")
        made = Charity(code=code, name=name.strip()[:120], created_at=services.clock())
        session.add(made)
        return made


def charities(services: Services) -> list[dict[str, Any]]:
    """Return the charities a share can be passed to, and whether each can be paid yet."""
    with services.db.read() as session:
        rows = session.exec(select(Charity).order_by(col(Charity.name))).all()
        found = {row.code: session.get(Payee, charity_party(row.code)) for row in rows}
    return [
        {"code": row.code, "name": row.name, "ready": bool(payee and payee.ready)}
        for row in rows
        for payee in [found[row.code]]
    ]


def apply(services: Services, session: Session, state: AccountState) -> None:
    """Note what Stripe says of an account now; doing it again changes nothing."""
    query = select(Payee).where(col(Payee.account_id) == state.account_id)
    payee = session.exec(query.with_for_update()).first()
    if payee is None:
        return
    payee.ready = state.can_receive and state.payouts_enabled
    payee.submitted, payee.changed_at = state.details_submitted, services.clock()
    session.add(payee)


def look_again(services: Services) -> int:
    """Ask Stripe about accounts that are not ready, whose webhook may be lost; return how many."""
    with services.db.read() as session:
        query = select(Payee.account_id).where(
            col(Payee.account_id).is_not(None), col(Payee.ready).is_(False)
        )
        waiting = session.exec(query.order_by(col(Payee.changed_at)).limit(20)).all()
    for account in waiting:
        state = services.payments.fetch_account(str(account))
        with services.db.write() as session:
            apply(services, session, state)
    return len(waiting)


def view(services: Services, party: str) -> dict[str, Any]:
    """Return how a party is paid, in words a page can show.

    donates: nothing was ever booked for it, and nothing it allows has a price.
    """
    snapshot = services.view.known()
    with services.db.read() as session:
        payee = session.get(Payee, party)
        lines = select(BookLine.id).where(
            col(BookLine.account) == Account.OWNERS_PAYABLE.value, col(BookLine.owner) == party
        )
        earned = session.exec(lines.limit(1)).first()
        charity = session.get(Charity, payee.charity) if payee and payee.charity else None
    gives = snapshot is not None and only_gives(snapshot.state, party)
    return {
        "mode": payee.mode if payee else None,
        "charity": payee.charity if payee else None,
        "charity_name": charity.name if charity else None,
        "account": bool(payee and payee.account_id),
        "submitted": bool(payee and payee.submitted),
        "ready": bool(payee and payee.ready),
        "donates": earned is None and gives,
    }
