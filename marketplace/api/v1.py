"""The API of owners, researchers, reviewers and auditors: /api/v1, JSON, bearer sessions.

Views only translate: what is decided is decided in the services they call.
"""

from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request

from marketplace import (
    accounts,
    catalogue,
    money,
    order_money,
    order_service,
    quotes,
    references,
    reports,
    settlement,
    stops,
    uploads,
)
from marketplace.api import models
from marketplace.api.common import (
    bearer,
    body_digest,
    body_stream,
    checked_id,
    nudge,
    principal,
    send_object,
    services,
)
from marketplace.api.protocol import page_asked, paged
from marketplace.errors import ForbiddenError, InputError, NotFoundError
from marketplace.view import placed_order

api = APIBlueprint("v1", __name__, url_prefix="/api/v1", tag="clients")
MAX_FACETS = 10
READERS = {
    "result": "researcher",
    "bundle": "researcher",
    "auditor_bundle": "auditor",
    "draft": "reviewer",
}


@api.post("/session/challenge")
@api.input(models.ChallengeIn)
@api.output(models.ChallengeOut)
def challenge(json_data: models.ChallengeIn) -> Any:
    """Ask for a challenge to sign."""
    return {"challenge": accounts.issue_challenge(services(), json_data.party)}


@api.post("/session")
@api.input(models.SessionIn)
@api.output(models.SessionOut)
def session(json_data: models.SessionIn) -> Any:
    """Open a session with a signed challenge."""
    body = json_data
    return asdict(
        accounts.open_session(
            services(), body.party, body.challenge, body.public_key, body.signature
        )
    )


@api.delete("/session")
@api.output({}, status_code=204)
def sign_out() -> Any:
    """End this session."""
    accounts.end_session(services(), bearer())
    return ""


@api.delete("/me/sessions")
@api.output(models.EndedOut)
@api.doc(security="session")
def end_other_sessions() -> Any:
    """End all your other sessions, browsers and tokens, for example after a device was lost."""
    return {"ended": accounts.end_other_sessions(services(), bearer())}


@api.post("/session/link")
@api.output(models.LinkOut)
@api.doc(security="session")
def link() -> Any:
    """Ask for a one-time address that signs a browser in."""
    secret = accounts.issue_link(services(), bearer())
    # After "#", so that the secret is in no server's log and no Referer header.
    return {"url": f"{services().config.origin}/signin#{secret}"}


@api.post("/tokens")
@api.input(models.TokenIn)
@api.output(models.SessionOut, status_code=201)
@api.doc(security="session")
def token(json_data: models.TokenIn) -> Any:
    """Make a narrower token for a notebook or a script: read looks, ask also asks for prices.

    It ends with its time, and at once when the key behind your session is out of force.
    """
    lasts = json_data.minutes * 60_000
    return asdict(accounts.issue_token(services(), bearer(), json_data.scopes, lasts))


@api.put("/uploads/<dataset>")
@api.output(models.UploadOut)
@api.doc(security="session", summary="Send a dataset's ciphertext")
def upload(dataset: str) -> Any:
    """Send a whole Crypt4GH file with its SHA-256 in X-Content-SHA256.

    The state is "active" where the ledger registers this very file already, else "staged".
    """
    who, now = principal("owner"), services()
    body = body_stream(now.config.limits.upload_bytes)
    name = checked_id(dataset, "dataset")
    stored, state = uploads.stage(now, who.party, name, body, body_digest())
    return {"dataset": dataset, "sha256": stored.sha256, "size": stored.size, "state": state}


@api.post("/datasets")
@api.input(models.DatasetIn)
@api.output(models.DatasetOut)
@api.doc(security="session")
def activate(json_data: models.DatasetIn) -> Any:
    """Activate a staged upload that the ledger registers."""
    row = uploads.activate(services(), principal("owner").party, json_data.dataset)
    return {"dataset": row.dataset, "state": row.state}


@api.get("/datasets/<dataset>/file")
@api.doc(security="session", summary="Fetch your own ciphertext")
def dataset_file(dataset: str) -> Response:
    """Return the owner's own ciphertext; ranges are supported."""
    who = principal("owner")
    state = services().view.snapshot().state
    known = state.datasets.get(dataset)
    if known is None or known.owner != who.party:
        raise NotFoundError("you have no dataset of this id")
    return send_object(services().objects, uploads.dataset_object(services(), dataset))


@api.get("/me/datasets")
@api.output(models.MyDatasetsOut)
@api.doc(security="session")
def my_datasets() -> Any:
    """List your datasets, and whether compute could take each in."""
    return paged(reports.datasets_of(services(), principal("owner").party), "datasets", "dataset")


@api.post("/stops")
@api.input(models.StopIn)
@api.output(models.StopOut, status_code=202)
@api.doc(summary="Hand in a stop while the ledger cannot be reached")
def stop(json_data: models.StopIn) -> Any:
    """Take a signed withdrawal, pause, objection, erasure or replacement; no session needed.

    Its signature is what counts. Workers honour it at once; the ledger gets it when it answers.
    Sending the same one again answers how it stands.
    """
    taken = stops.accept(services(), json_data.model_dump())
    nudge()
    return asdict(taken)


@api.get("/catalogue")
@api.output(models.CatalogueOut)
def browse() -> Any:
    """Count people by modality and published facet, in buckets. Parameters: facet=value."""
    twice = [name for name, values in request.args.lists() if len(values) > 1]
    if twice:
        raise InputError(f"{twice[0][:40]} was given more than once; ask for one value of a facet")
    facets = {name: value for name, value in request.args.items() if value}
    if len(facets) > MAX_FACETS:
        raise InputError(f"ask for at most {MAX_FACETS} facets")
    return catalogue.overview(services().view.snapshot().state, facets)


@api.get("/references")
@api.output(models.ReferencesOut)
def reference_files() -> Any:
    """List the operator's reference files, which queries name by their SHA-256."""
    return {"references": references.listed(services())}


@api.post("/variants/resolve")
@api.input(models.ResolveIn)
@api.output(models.ResolveOut)
def resolve(json_data: models.ResolveIn) -> Any:
    """Learn what rs-ids and genes stand for, and where they lie on another build; costs nothing."""
    return references.resolved(services(), json_data.names, json_data.build, json_data.chain)


@api.post("/dry-run")
@api.input(models.AskIn)
@api.output(models.DryRunOut)
@api.doc(security="session")
def dry_run(json_data: models.AskIn) -> Any:
    """Learn who could take part, the price and the expected error; costs nothing."""
    return quotes.dry_run(services(), principal("researcher").party, json_data.model_dump())


@api.post("/quotes")
@api.input(models.AskIn)
@api.output(models.QuoteOut)
@api.doc(security="session")
def quote(json_data: models.AskIn) -> Any:
    """Ask for a binding price; sign its order_fields into order.placed."""
    return quotes.offer(services(), principal("researcher").party, json_data.model_dump())


@api.post("/orders")
@api.input(models.OrderIn)
@api.output(models.OrderOut)
@api.doc(security="session")
def place(json_data: models.OrderIn) -> Any:
    """Open the order whose signed order.placed entry stands at a ledger index."""
    now, who = services(), principal("researcher")
    placed = placed_order(now.view.covering(json_data.index), json_data.index)
    time = now.clock()
    with now.db.write() as db_session:
        order = order_service.create(
            db_session, who.party, json_data.quote, placed, json_data.index, now=time,
            deadline=time + now.config.limits.payment_ms,
        )  # fmt: skip
        return reports.order_view(db_session, order)


@api.get("/orders")
@api.output(models.OrdersOut)
@api.doc(security="session")
def orders() -> Any:
    """List your orders, newest first."""
    who = principal("researcher")
    found, rest = reports.orders_of(services(), who.party, *page_asked())
    return {"orders": found, "next": rest}


@api.get("/orders/<order_id>")
@api.output(models.OrderOut)
@api.doc(security="session")
def order(order_id: str) -> Any:
    """Look at one of your orders."""
    now, found = services(), reports.one_order(services(), order_id, principal("researcher").party)
    return {**found, "money": order_money.moves(now, order_id)}


@api.post("/orders/<order_id>/checkout")
@api.output(models.CheckoutOut)
@api.doc(security="session")
def checkout(order_id: str) -> Any:
    """Get the page where an order is paid."""
    payment = money.checkout(services(), order_id, principal("researcher").party)
    return {"url": payment.checkout_url, "session_id": payment.checkout_id}


@api.post("/orders/<order_id>/cancel")
@api.output(models.OrderOut)
@api.doc(security="session")
def cancel(order_id: str) -> Any:
    """Cancel an order that was not approved yet; what was paid goes back."""
    now, who = services(), principal("researcher")
    with now.db.write() as db_session:
        order_service.owned(db_session, order_id, who.party)
        mine = order_service.locked_order(db_session, order_id)
        order_service.cancel(db_session, now.signer, mine, now.clock())
        answer = reports.order_view(db_session, mine)
    nudge()
    return answer


@api.get("/orders/<order_id>/objects/<name>")
@api.doc(security="session", summary="Fetch an encrypted object of an order")
def order_object(order_id: str, name: str) -> Response:
    """Return result or bundle to the researcher, draft to reviewers, auditor_bundle to auditors."""
    who = principal()
    role = READERS.get(name)
    if role is None:
        raise NotFoundError(f"an order has {', '.join(READERS)}, not {name[:40]}")
    if who.role != role:
        raise ForbiddenError(f"{name} is for a party of role {role}")
    if role == "researcher":
        reports.one_order(services(), order_id, who.party)
    return send_object(services().objects, uploads.job_object(services(), order_id, name))


@api.get("/reviews")
@api.output(models.ReviewsOut)
@api.doc(security="session")
def reviews() -> Any:
    """List the drafts that wait for reviewers."""
    return {"reviews": reports.reviews(services(), principal("reviewer").party)}


@api.get("/me/shares")
@api.output(models.SharesOut)
@api.doc(security="session")
def shares() -> Any:
    """List your shares of settled orders, each with its proof."""
    return paged(settlement.shares_of(services(), principal("owner").party), "shares", "order")


@api.get("/status")
@api.output(models.StatusOut)
def status() -> Any:
    """See how the marketplace is doing."""
    return reports.status(services())
