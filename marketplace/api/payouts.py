"""The money of owners and the desk of operators: /api/v1/me/..., /api/v1/operator/...

Owners see their own amounts only; operators see totals, and payouts by batch, never an owner's.
"""

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from marketplace import earnings, invoices, operator_acts, payees, payouts, reconcile
from marketplace.api import models, models_money
from marketplace.api.common import checked_id, nudge, principal, services, whole_number

earning = APIBlueprint("earning", __name__, url_prefix="/api/v1", tag="money")
operating = APIBlueprint("operating", __name__, url_prefix="/api/v1/operator", tag="operators")


@earning.get("/charities")
@earning.output(models_money.CharitiesOut)
def charities() -> Any:
    """List the charities a share can be passed to."""
    return {"charities": payees.charities(services())}


@earning.get("/me/payee")
@earning.output(models_money.PayeeOut)
@earning.doc(security="session")
def payee() -> Any:
    """See how you are paid, and whether you can be yet."""
    return payees.view(services(), principal("owner").party)


@earning.post("/me/payee/onboard")
@earning.input(models_money.OnboardIn)
@earning.output(models.LinkOut)
@earning.doc(security="session")
def onboard(json_data: models_money.OnboardIn) -> Any:
    """Get the page where Stripe asks who you are and which bank to pay; works once."""
    now, who = services(), principal("owner")
    back = f"{now.config.origin}/me/statement"
    return {"url": payees.onboard(now, who.party, json_data.country, back)}


@earning.post("/me/payee/charity")
@earning.input(models_money.PassOnIn)
@earning.output(models_money.PayeeOut)
@earning.doc(security="session")
def pass_on(json_data: models_money.PassOnIn) -> Any:
    """Pass what you earn to a charity; no account and no name is needed."""
    now, who = services(), principal("owner")
    payees.pass_on(now, who.party, json_data.charity)
    return payees.view(now, who.party)


@earning.delete("/me/payee/charity")
@earning.output(models_money.PayeeOut)
@earning.doc(security="session")
def keep() -> Any:
    """Stop passing it on; what was passed on already stays with the charity."""
    now, who = services(), principal("owner")
    payees.keep(now, who.party)
    return payees.view(now, who.party)


@earning.get("/me/statement")
@earning.output(models_money.StatementOut)
@earning.doc(security="session")
def statement() -> Any:
    """See what you earned and were paid. Parameters: since, until (Unix ms)."""
    since, until = _range()
    return earnings.statement(services(), principal("owner").party, since, until)


@earning.get("/me/statement.csv")
@earning.doc(security="session", summary="Your statement as CSV")
def statement_csv() -> Response:
    """Return the same lines as a file for a spreadsheet or an accountant."""
    since, until = _range()
    value = earnings.statement(services(), principal("owner").party, since, until)
    headers = {"Content-Disposition": 'attachment; filename="statement.csv"'}
    return Response(earnings.as_csv(value), mimetype="text/csv", headers=headers)


def _range() -> tuple[int, int | None]:
    return whole_number("since", 0) or 0, whole_number("until", None)


@earning.get("/me/payouts")
@earning.output(models_money.PayoutsOut)
@earning.doc(security="session")
def my_payouts() -> Any:
    """List your payouts, each with its proof against its payout.made entry."""
    return {"payouts": earnings.payouts_of(services(), principal("owner").party)}


@earning.post("/orders/<order_id>/invoice")
@earning.input(models_money.InvoiceIn)
@earning.output(models_money.InvoiceOut)
@earning.doc(security="session")
def invoice(order_id: str, json_data: models_money.InvoiceIn) -> Any:
    """Ask for an invoice and pay by bank transfer instead."""
    now, who = services(), principal("researcher")
    invoices.issue(now, checked_id(order_id, "order"), who.party, json_data.purchase_order)
    return invoices.document(now, order_id, who.party)


@earning.get("/orders/<order_id>/invoice")
@earning.output(models_money.InvoiceOut)
@earning.doc(security="session")
def read_invoice(order_id: str) -> Any:
    """Read your order's invoice."""
    return invoices.document(services(), order_id, principal("researcher").party)


@operating.get("/transfers")
@operating.output(models_money.TransfersOut)
@operating.doc(security="session")
def transfers() -> Any:
    """List the bank transfers two operators have to state on the ledger."""
    principal("operator")
    return {"transfers": invoices.waiting(services())}


@operating.post("/charities")
@operating.input(models_money.CharityIn)
@operating.output(models_money.CharitiesOut)
@operating.doc(security="session")
def add_charity(json_data: models_money.CharityIn) -> Any:
    """Put a charity on the list."""
    details = {"code": json_data.code, "name": json_data.name}
    who = principal("operator")
    operator_acts.require(services(), who, json_data.entry, "charity.listed", details)
    payees.add_charity(services(), json_data.code, json_data.name)
    return {"charities": payees.charities(services())}


@operating.post("/charities/<code>/onboard")
@operating.input(models_money.OnboardCharityIn)
@operating.output(models.LinkOut)
@operating.doc(security="session")
def onboard_charity(code: str, json_data: models_money.OnboardCharityIn) -> Any:
    """Get the page where Stripe asks a charity for its bank."""
    who, now = principal("operator"), services()
    details = {"code": code, "country": json_data.country}
    operator_acts.require(now, who, json_data.entry, "charity.onboarded", details)
    party = payees.charity_party(code)
    return {"url": payees.onboard(now, party, json_data.country, f"{now.config.origin}/status")}


@operating.get("/payouts")
@operating.output(models_money.BatchesOut)
@operating.doc(security="session")
def batches() -> Any:
    """List the newest payout batches with their totals."""
    principal("operator")
    return {"batches": payouts.batches(services())}


@operating.post("/payouts")
@operating.input(models_money.ActIn)
@operating.output(models_money.BatchesOut)
@operating.doc(security="session")
def pay_now(json_data: models_money.ActIn) -> Any:
    """Plan a batch now for everything owed, without waiting for the next period."""
    who, now = principal("operator"), services()
    operator_acts.require(now, who, json_data.entry, "payouts.run", {})
    time = now.clock()
    payouts.plan_period(now, f"by-hand-{time}", time + 1)
    nudge()
    return {"batches": payouts.batches(now)}


@operating.post("/payouts/<payout_id>/reverse")
@operating.input(models_money.ReverseIn)
@operating.output(models_money.BatchesOut)
@operating.doc(security="session")
def reverse(payout_id: str, json_data: models_money.ReverseIn) -> Any:
    """Take part or all of a payout back that was sent in error; it is owed again."""
    who, name = principal("operator"), checked_id(payout_id, "payout")
    details = {"payout": name, "amount": json_data.amount}
    operator_acts.require(services(), who, json_data.entry, "payout.reversed", details)
    payouts.reverse(services(), name, json_data.amount)
    return {"batches": payouts.batches(services())}


@operating.get("/reconciliation")
@operating.output(models_money.ReconciliationsOut)
@operating.doc(security="session")
def reconciliations() -> Any:
    """See what the last comparisons of book, ledger and Stripe found and did."""
    principal("operator", "auditor")
    return {"runs": [reconcile.view(row) for row in reconcile.newest(services())]}


@operating.post("/reconciliation")
@operating.input(models_money.ActIn)
@operating.output(models_money.ReconciliationOut)
@operating.doc(security="session")
def reconcile_now(json_data: models_money.ActIn) -> Any:
    """Compare everything there is, now."""
    who, now = principal("operator"), services()
    operator_acts.require(now, who, json_data.entry, "reconciliation.run", {})
    made = reconcile.view(reconcile.run(now, since=0))
    nudge()
    return made
