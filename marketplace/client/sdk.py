"""The Python SDK's face: `from marketplace.client import Market`.

    market = Market.open()                       # the home `omic keygen` or a browser export made
    columns = market.preview(request)            # made-up numbers, nothing is asked
    rehearsal = market.dry_run(request)          # free
    order = market.order(request)                # signed with this home's key, not paid yet
    print(order.pay_url)
    table = market.wait(order).answer().to_pandas()

Everything that counts is signed and verified here; the server is only asked. `to_pandas` and
`to_arrow` need those packages installed.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from compute import ComputeError, parse_purpose, parse_scope
from compute.queries import parse_query
from marketplace.client import answers
from marketplace.client.errors import ClientError
from marketplace.client.home import Home
from marketplace.client.market import Market as Connection
from marketplace.client.researcher import FINAL_STATES, Request, Researcher, made_up, matching
from marketplace.client.session import Session

ANSWERED = "settled"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A dry run: people (a bucket), price in minor units (None: nobody permits), expected error.

    other_builds: build -> bucket of people who hold data on it only: not included. match: what is
    known of a match before it is paid for, in words; None without one.
    """

    people: str
    price: int | None
    currency: str
    expected_error: Mapping[str, Any]
    left_out: Mapping[str, str]
    other_builds: Mapping[str, str]
    match: str | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """People with consents in force, in buckets: all, by modality, by published facet and value."""

    people: str
    modalities: Mapping[str, str]
    facets: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A decrypted answer: its document, columns by name, and the bundle that proves it."""

    document: Mapping[str, Any]
    bundle: bytes = field(repr=False)

    @property
    def columns(self) -> dict[str, list[Any]]:
        """Return the released columns; missing values are None."""
        return answers.columns_of(self.document)

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame. Raises ClientError where pandas is not installed."""
        return _needs("pandas").DataFrame(self.columns)

    def to_arrow(self) -> Any:
        """Return a pyarrow.Table. Raises ClientError where pyarrow is not installed."""
        return _needs("pyarrow").table(self.columns)

    def to_tsv(self) -> str:
        """Return tab-separated text with exact numbers."""
        return answers.tsv(self.columns)

    def plot(self, path: str | Path) -> Path:
        """Draw the answer as PNG, SVG or PDF, by the name's ending; return the file.

        Association, QTL boxes, age at onset and the rest as `omic order table --plot` draws them.
        Raises ClientError where no figure is drawn of such an answer.
        """
        answers.draw(self.columns, str(self.document["answer"]["family"]), Path(path))
        return Path(path)


@dataclass(frozen=True, slots=True)
class Order:
    """One of this researcher's orders, as it stood when it was last looked at.

    reason: a code, where there is no answer; why: what it means, in words. amount: minor units.
    """

    market: "Market" = field(repr=False)
    id: str
    state: str
    reason: str | None
    amount: int
    currency: str
    why: str | None = None

    @property
    def pay_url(self) -> str:
        """Return the page where it is paid."""
        return str(self.market.researcher.checkout(self.id)["url"])

    def cancel(self) -> "Order":
        """Cancel the order while it was not approved yet; what was paid goes back."""
        self.market.researcher.cancel(self.id)
        return self.refresh()

    def refresh(self) -> "Order":
        """Return the order as it stands now."""
        return self.market.get(self.id)

    def answer(self) -> Answer:
        """Fetch and open the answer here. Raises ClientError while there is none."""
        return self.market.answer(self.id)


@dataclass(frozen=True, slots=True)
class Market:
    """A researcher's view of one market: rehearse, order, follow, open."""

    session: Session

    @classmethod
    def open(cls, home: Path | str = "~/.omic", passphrase: str | None = None) -> "Market":
        """Connect with the identity and trust file in a home."""
        return cls(Session.open(Home(Path(home).expanduser(), passphrase)))

    @property
    def researcher(self) -> Researcher:
        return Researcher(self.session)

    def catalogue(self, **facets: str) -> Catalogue:
        """Return buckets of people by modality and published facet, of those who publish these."""
        return Catalogue(**self.session.market.get("/catalogue", **facets))

    def preview(self, request: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Return the columns an answer would have, over made-up people, made here.

        Private requests show the noise their rho would add. Raises ClientError.
        """
        return made_up(_request(request))

    def token(self, *scopes: str, minutes: int = 60) -> str:
        """Return a narrower token ("read", "ask") for a script that must not hold this home."""
        body = {"scopes": list(scopes), "minutes": minutes}
        return str(self.session.market.post("/tokens", body)["token"])

    def matching(self, request: Mapping[str, Any], *lines: str) -> dict[str, Any]:
        """Return a request that counts whom of its scope every line holds of as well.

        lines: "has HP:0001250", "number height 150..180", "sex female", judged inside compute
        alone. Raises ClientError naming the line.
        """
        return matching(request, *lines)

    def dry_run(
        self, request: Mapping[str, Any], maf: str | None = None, sd: str | None = None
    ) -> Rehearsal:
        """Learn who could take part, the price and the expected error; costs nothing.

        maf: the minor allele frequency or prevalence to expect it at, a fraction such as "1/100".
        sd: the standard deviation to expect of the value measured, in its own unit, such as "2.5".
        """
        told = self.researcher.dry_run(_request(request), maf, sd)
        names = ("people", "price", "currency", "expected_error", "left_out", "other_builds",
                 "match")  # fmt: skip
        return Rehearsal(**{name: told[name] for name in names})

    def order(
        self, request: Mapping[str, Any], maf: str | None = None, sd: str | None = None
    ) -> Order:
        """Get a binding price, sign the order and place it; nothing is paid yet.

        maf, sd: as in `dry_run`, so that a price is had for what it called useful.
        """
        asked = _request(request)
        return self.get(self.researcher.order(asked, self.researcher.quote(asked, maf, sd)))

    def get(self, order: str) -> Order:
        """Look at one of your orders."""
        return self._order(self.researcher.status(order))

    def orders(self) -> list[Order]:
        """List your orders, newest first."""
        return [self._order(one) for one in self.session.market.listed("/orders", "orders")]

    def wait(self, order: Order | str, *, timeout: float = 600.0, progress: bool = True) -> Order:
        """Follow an order to its end with a progress line. Raises ClientError without an answer."""
        name = order if isinstance(order, str) else order.id
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, transient=True, disable=not progress) as bar:
            task = bar.add_task("ordered", total=None)
            self.researcher.wait(
                name, until=FINAL_STATES, timeout=timeout,
                progress=lambda text: bar.update(task, description=text.replace("_", " ")),
                parts=lambda done, total: bar.update(task, completed=done, total=total),
            )  # fmt: skip
        found = self.get(name)
        if found.state != ANSWERED:
            told = found.why or found.reason or "no reason was given"
            raise ClientError(f"order {name} ended as {found.state}: {told}")
        return found

    def answer(self, order: str) -> Answer:
        """Fetch and decrypt an answer with this home's key."""
        opened = self.researcher.answer(order)
        return Answer(opened.result, opened.bundle)

    def connection(self) -> Connection:
        """Return the signed-in HTTP connection, for what has no method here."""
        return self.session.market

    def _order(self, told: Mapping[str, Any]) -> Order:
        return Order(
            self, told["order"], told["state"], told["reason"], told["amount"], told["currency"],
            told["why"],
        )  # fmt: skip


def _request(value: Mapping[str, Any]) -> Request:
    try:
        parse_query(value["query"])
        return Request(
            parse_purpose(value["purpose"]),
            value["query"],
            parse_scope(value["scope"]),
            value["release"],
            str(value.get("currency", "gbp")),
        )
    except ComputeError as error:
        raise ClientError(f"this is not a request that can be asked: {error}") from None
    except KeyError as error:
        raise ClientError(
            f"a request has purpose, query, scope and release; {error} is missing. "
            "`omic order template` writes one"
        ) from None


def _needs(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError:
        raise ClientError(f"this needs {package}: pip install {package}") from None
