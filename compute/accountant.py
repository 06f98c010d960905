"""The privacy budget: what every person has been charged, in exact rationals of zCDP's rho.

A charge is made before any key opens and is stated by the access entry on the ledger; the ledger
is the truth and this database its index: on start `reconcile` completes what a crash left open,
adds what is missing, and refuses a database that knows charges the ledger does not. Exact
statistics (trusted mode) are counted beside it, against a cap of their own. Never reads data, never
refunds after a release. zCDP composes by adding rho (Bun and Steinke 2016, 1.3).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from compute.errors import ComputeError
from compute.tables import BudgetRow, ChargeRow, ReservationRow, StoreStateError, write_lock

RESERVED, COMMITTED, RELEASED = "reserved", "committed", "released"
REFUNDED = "refunded"
TRANSITIONS = {
    RESERVED: {COMMITTED, RELEASED},
    COMMITTED: {REFUNDED},
    RELEASED: set[str](),
    REFUNDED: set[str](),
}
BATCH = 400
ZERO = Fraction(0)
EXACT = "x:"  # subjects whose balance counts exact statistics, not rho


class BudgetExceededError(ComputeError):
    """Somebody's budget does not cover the charge; nothing was charged to anyone."""

    default_code = "budget_exceeded"


class LedgerMismatchError(StoreStateError):
    """The budget database and the ledger disagree in a way that cannot be repaired safely."""

    default_code = "budget_mismatch"


@dataclass(frozen=True, slots=True)
class Charge:
    """One person's part in an access: rho is charged to the person and to each dataset read.

    limit: the lifetime budget the person's terms state; share: the largest part of it one order
    may take. Exact rationals. genome: what people who registered one genome twice have in common;
    it has one budget too, but a spent one refuses nobody (that would tell a copy from a stranger):
    its people are left out of the sums instead, see `summed`. exact: how many exact statistics the
    terms allow of the person, ever; None where nothing is said. elsewhere: how much of limit, and
    exact_elsewhere: how much of exact, other regions may have used already.
    """

    person: str
    datasets: tuple[str, ...]
    limit: Fraction
    share: Fraction = Fraction(1)
    genome: str | None = None
    exact: int | None = None
    elsewhere: Fraction = ZERO
    exact_elsewhere: int = 0

    def left(self, subject: str) -> Fraction | None:
        """Return what other regions left of a subject's limit; None where there is none."""
        if not subject.startswith(EXACT):
            return self.limit - self.elsewhere
        return None if self.exact is None else Fraction(self.exact - self.exact_elsewhere)

    def subjects(self, cost: "Cost") -> list[str]:
        """Return what a cost is charged to: the person, each dataset, exact statistics apart."""
        exact = [f"{EXACT}{self.person}"] if cost.exact else []
        return [f"p:{self.person}", *(f"d:{name}" for name in self.datasets), *exact]


@dataclass(frozen=True, slots=True)
class Cost:
    """What an access costs each person: rho, and how many exact statistics it gives."""

    rho: Fraction
    exact: int = 0

    def of(self, subject: str) -> Fraction:
        """Return what one subject is charged."""
        return Fraction(self.exact) if subject.startswith(EXACT) else self.rho


@dataclass(frozen=True, slots=True)
class Stated:
    """One access entry as the ledger states it, with the charges this worker can attribute.

    strangers: leaves of its tree that match no key held any more (erased since).
    """

    access: str
    order: str
    rho: Fraction
    charges: tuple[Charge, ...]
    strangers: int = 0
    exact: int = 0


class Accountant:
    """Charges people atomically; safe for any number of threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def exhausted(self, charges: Sequence[Charge], rho: Fraction, exact: int = 0) -> frozenset[str]:
        """Return the people whose budget would not cover this now (advice: reserve decides)."""
        cost = Cost(rho, exact)
        with self._transaction() as session:
            spent = _spent(session, _subjects(charges, cost))
            return frozenset(c.person for c in charges if not _covers(c, cost, spent))

    def is_overdrawn(self, charges: Sequence[Charge], rho: Fraction, exact: int = 0) -> bool:
        """Tell whether anybody's charges, here and elsewhere, are above what the terms allow.

        Asked of what an access charges that is reserved already. It can only come about between
        regions: `reserve` lets no charge of this one go so far.
        """
        cost = Cost(rho, exact)
        with self._transaction() as session:
            spent = _spent(session, _subjects(charges, cost))
        return any(
            (left := charge.left(name)) is not None and cost.of(name) and spent[name] > left
            for charge in charges
            for name in charge.subjects(cost)
        )

    def reserve(
        self, order: str, access: str, charges: Sequence[Charge], rho: Fraction, exact: int = 0
    ) -> None:
        """Charge rho and a count of exact statistics to every person at once, or to nobody.

        Repeating an access changes nothing.

        Raises BudgetExceededError, which names no one.
        """
        cost = Cost(rho, exact)
        _check(charges, cost)
        with self._transaction() as session:
            if session.get(ReservationRow, access) is not None:
                return
            limits = _genome_limits(charges)
            spent = _spent(session, sorted([*_subjects(charges, cost), *limits]), lock=True)
            if not all(_covers(charge, cost, spent) for charge in charges):
                raise BudgetExceededError("the budget of someone in the cohort does not cover this")
            covered = [name for name, limit in limits.items() if spent[name] + rho <= limit]
            row = ReservationRow(
                access=access, order=order, rho=str(rho), exact=exact, state=RESERVED
            )
            _add(session, row, [*_subjects(charges, cost), *covered])

    def summed(self, access: str) -> frozenset[str]:
        """Return the genomes an access charged: people of any other add nothing to its sums."""
        with self._transaction() as session:
            query = select(col(ChargeRow.subject)).where(
                col(ChargeRow.access) == access, col(ChargeRow.subject).startswith("g:")
            )
            return frozenset(name.removeprefix("g:") for name in session.scalars(query))

    def commit(self, access: str) -> None:
        """Make a reservation final; call once the access entry is on the ledger."""
        with self._transaction() as session:
            _move(session, access, COMMITTED)

    def release(self, access: str) -> None:
        """Give a reservation back; only legal when no access entry was ever recorded for it."""
        with self._transaction() as session:
            if _move(session, access, RELEASED):
                _take_back(session, access)

    def refund(self, access: str) -> None:
        """Give a committed charge back; only legal when nothing of the access was released.

        The ledger must say so first (result.withheld with no result.published before it). A
        database rebuilt from the ledger charges such an access again: never too little.
        """
        with self._transaction() as session:
            if _move(session, access, REFUNDED):
                _take_back(session, access)

    def spent(self, person: str) -> Fraction:
        """Return what a participant has been charged in all, reservations included."""
        with self._transaction() as session:
            return _spent(session, [f"p:{person}"])[f"p:{person}"]

    def exact_given(self, person: str) -> int:
        """Return how many exact statistics a participant was part of, reservations included."""
        with self._transaction() as session:
            return int(_spent(session, [f"{EXACT}{person}"])[f"{EXACT}{person}"])

    def dataset_spent(self, dataset: str) -> Fraction:
        """Return what a dataset has been charged in all, reservations included."""
        with self._transaction() as session:
            return _spent(session, [f"d:{dataset}"])[f"d:{dataset}"]

    def open_reservations(self) -> list[str]:
        """Return the accesses reserved and not yet committed or released."""
        with self._transaction() as session:
            return sorted(_states(session, RESERVED))

    def unknown(self, accesses: Iterable[str]) -> set[str]:
        """Return which accesses this database has no charge for."""
        with self._transaction() as session:
            known = set(session.scalars(select(col(ReservationRow.access))))
        return set(accesses) - known

    def released(self, accesses: Iterable[str]) -> set[str]:
        """Return which of these accesses were given back here (and so must be charged again)."""
        with self._transaction() as session:
            return _states(session, RELEASED) & set(accesses)

    def reconcile(self, stated: Sequence[Stated], on_ledger: set[str], erasable: int) -> int:
        """Make the database agree with the ledger; return how many accesses were rebuilt.

        stated: own accesses the database lacks. on_ledger: every access on the ledger. erasable:
        how many grants were ended for good, the most strangers a tree may hold.
        Raises LedgerMismatchError when the database knows a committed charge the ledger does not
        (another ledger, or one rolled back), or lacks charges that cannot be attributed any more.
        """
        with self._transaction() as session:
            _refuse_ahead(session, on_ledger)
            for access in _states(session, RESERVED) & on_ledger:
                _move(session, access, COMMITTED)
            for one in stated:
                if one.strangers > erasable:
                    raise LedgerMismatchError(
                        "the budget database is behind the ledger and charges of living grants "
                        "cannot be attributed: restore a newer backup"
                    )
                _restore(session, one)
        return len(stated)

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        with write_lock(self._engine), Session(self._engine) as session, session.begin():
            yield session


def _check(charges: Sequence[Charge], cost: Cost) -> None:
    if cost.rho < 0 or cost.exact < 0:
        raise BudgetExceededError("a charge cannot be negative")
    people = [charge.person for charge in charges]
    if len(set(people)) != len(people):
        raise BudgetExceededError("a person stands twice in one cohort")
    if cost.rho and any(cost.rho > charge.limit * charge.share for charge in charges):
        raise BudgetExceededError("the order asks more of someone than one order may take")


def _covers(charge: Charge, cost: Cost, spent: dict[str, Fraction]) -> bool:
    if cost.rho and cost.rho > charge.limit * charge.share:
        return False
    for subject in charge.subjects(cost):
        left, price = charge.left(subject), cost.of(subject)
        if left is not None and price and spent[subject] > left - price:
            return False
    return True


def _subjects(charges: Iterable[Charge], cost: Cost) -> list[str]:
    return sorted({subject for charge in charges for subject in charge.subjects(cost)})


def _spent(session: Session, subjects: Sequence[str], lock: bool = False) -> dict[str, Fraction]:
    """Read balances, in one order for everybody so that two reservations cannot deadlock."""
    found: dict[str, Fraction] = {}
    for part in _parts(subjects):
        if lock:
            _ensure(session, part)
        query = select(col(BudgetRow.subject), col(BudgetRow.spent)).where(
            col(BudgetRow.subject).in_(part)
        )
        query = query.order_by(col(BudgetRow.subject))
        if lock:
            query = query.with_for_update()
        found.update((row[0], _exact(row[1])) for row in session.execute(query))
    return {subject: found.get(subject, ZERO) for subject in subjects}


@lru_cache(maxsize=4096)
def _exact(text: str) -> Fraction:
    """Read a balance; most people's are among few."""
    return Fraction(text)


def _ensure(session: Session, subjects: Sequence[str]) -> None:
    rows = [{"subject": subject, "spent": "0"} for subject in subjects]
    module: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    session.execute(module.insert(BudgetRow).on_conflict_do_nothing(), rows)


def _genome_limits(charges: Iterable[Charge]) -> dict[str, Fraction]:
    """Return the strictest limit of the people of each genome, by its subject."""
    found: dict[str, Fraction] = {}
    for charge in charges:
        if charge.genome is not None:
            name = f"g:{charge.genome}"
            left = charge.limit - charge.elsewhere
            found[name] = min(left, found.get(name, left))
    return found


def _add(session: Session, row: ReservationRow, charged: Iterable[str]) -> None:
    access, cost = row.access, Cost(Fraction(row.rho), row.exact)
    session.add(row)
    session.flush()
    subjects = sorted(charged)
    if subjects:
        rows = [{"access": access, "subject": subject} for subject in subjects]
        session.execute(insert(ChargeRow), rows)
    _shift(session, subjects, cost)


def _shift(session: Session, subjects: Sequence[str], cost: Cost, sign: int = 1) -> None:
    moved = [name for name in subjects if cost.of(name)]
    if not moved:
        return
    spent = _spent(session, moved, lock=True)
    rows = [
        {"subject": name, "spent": str(value + sign * cost.of(name))}
        for name, value in spent.items()
    ]
    if rows:
        session.execute(update(BudgetRow), rows)


def _take_back(session: Session, access: str) -> None:
    row = session.get(ReservationRow, access)
    query = select(col(ChargeRow.subject)).where(col(ChargeRow.access) == access)
    subjects = sorted(session.scalars(query))
    if row is not None:
        _shift(session, subjects, Cost(Fraction(row.rho), row.exact), -1)
    session.execute(delete(ChargeRow).where(col(ChargeRow.access) == access))


def _move(session: Session, access: str, state: str) -> bool:
    """Move a reservation; return whether it moved. Repeating a move does nothing."""
    row = session.get(ReservationRow, access, with_for_update=True)
    if row is None:
        raise StoreStateError("there is no reservation for this access")
    if row.state == state:
        return False
    if state not in TRANSITIONS[row.state]:
        raise StoreStateError(f"a {row.state} charge cannot become {state}")
    row.state = state
    session.flush()
    return True


def _restore(session: Session, stated: Stated) -> None:
    """Write a charge the ledger states; whether the budget covered it no longer matters."""
    row = session.get(ReservationRow, stated.access)
    if row is not None and row.state != RELEASED:
        return
    if row is not None:
        session.delete(row)
        session.flush()
    cost = Cost(stated.rho, stated.exact)
    fresh = ReservationRow(
        access=stated.access,
        order=stated.order,
        rho=str(stated.rho),
        exact=stated.exact,
        state=COMMITTED,
    )
    _add(session, fresh, [*_subjects(stated.charges, cost), *_genome_limits(stated.charges)])


def _states(session: Session, state: str) -> set[str]:
    return set(
        session.scalars(
            select(col(ReservationRow.access)).where(col(ReservationRow.state) == state)
        )
    )


def _refuse_ahead(session: Session, on_ledger: set[str]) -> None:
    if _states(session, COMMITTED) - on_ledger:
        raise LedgerMismatchError(
            "the budget database knows charges the ledger does not: it belongs to another ledger, "
            "or the ledger was rolled back"
        )


def _parts(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
