"""Money pages: an owner's statement and an invoice, both printable; the operator's desk."""

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from marketplace import earnings, invoices, payees, reconcile
from marketplace.web import operator_view, sessions
from marketplace.web.pages_public import page_number
from marketplace.web.ports import pages
from marketplace.web.text import countries
from marketplace.web.troubles import of_health, of_money, of_watch
from marketplace.web.uses_view import earned_by_month

SHOWN_RUNS, SHOWN_LINES = 20, 50


def add_money_pages(made: Blueprint) -> None:
    """Add /me/statement, /orders/<order>/invoice and /operator."""
    made.add_url_rule("/me/statement", "statement", statement)
    made.add_url_rule("/me/statement.csv", "statement_csv", statement_csv)
    made.add_url_rule("/me/payee", "payee", choose, methods=["POST"])
    made.add_url_rule("/orders/<order>/invoice", "invoice", invoice)
    made.add_url_rule("/orders/<order>/invoice", "ask_invoice", ask_invoice, methods=["POST"])
    made.add_url_rule("/operator", "operator", operator)


@sessions.require("owner")
def statement() -> str:
    """Show what I am owed, how I am paid and each line, newest first. Parameter: page."""
    services, page = pages().services, page_number(request.args.get("page", "1"))
    view = earnings.statement(services, sessions.me().party)
    lines = view["lines"][::-1][(page - 1) * SHOWN_LINES : page * SHOWN_LINES]
    orders = services.view.snapshot().state.orders
    about = {line["about"] for line in lines} & orders.keys()
    names = {order: orders[order].payload["purpose"].get("project") for order in about}
    return render_template(
        "web/statement.html", view=view, charities=payees.charities(services),
        chart=earned_by_month(view["lines"]), names=names, lines=lines, page=page,
        last=max(1, -(-len(view["lines"]) // SHOWN_LINES)), countries=countries(),
    )  # fmt: skip


@sessions.require("owner")
def statement_csv() -> Response:
    """Give the same lines as CSV."""
    value = earnings.statement(pages().services, sessions.me().party)
    headers = {"Content-Disposition": 'attachment; filename="statement.csv"'}
    return Response(earnings.as_csv(value), mimetype="text/csv", headers=headers)


@sessions.require("owner")
def choose() -> AnyResponse:
    """Choose how I am paid: a charity, my bank through Stripe's own page, or neither yet."""
    services, party = pages().services, sessions.me().party
    if request.form.get("keep"):
        payees.keep(services, party)
        return redirect(url_for("web.statement"), 303)
    if code := request.form.get("charity"):
        payees.pass_on(services, party, code)
        return redirect(url_for("web.statement"), 303)
    back = f"{services.config.origin}{url_for('web.statement')}"
    country = request.form.get("country", "")
    return redirect(payees.onboard(services, party, country, back), 303)


@sessions.require("researcher")
def invoice(order: str) -> str:
    """Show an order's invoice, as a page that prints on paper."""
    view = invoices.document(pages().services, order, sessions.me().party)
    return render_template("web/invoice.html", view=view)


@sessions.require("researcher")
def ask_invoice(order: str) -> AnyResponse:
    """Make an order's invoice, to be paid by bank transfer. Raises ConflictError, InputError."""
    reference = request.form.get("purchase_order", "")
    invoices.issue(pages().services, order, sessions.me().party, reference)
    return redirect(url_for("web.invoice", order=order), 303)


@sessions.require("operator", "auditor")
def operator() -> str:
    """Show what needs a person now: health, queues, reviews, comparisons, transfers, acts."""
    services = pages().services
    runs = [reconcile.view(row) for row in reconcile.newest(services, SHOWN_RUNS)]
    health = operator_view.health(services, pages().ledger)
    waiting = invoices.waiting(services)
    watch = operator_view.to_watch(services)
    wrong = [
        *of_health(health), *of_watch(watch), *of_money(runs, waiting, health.now),
    ]  # fmt: skip
    return render_template(
        "web/operator.html", runs=runs, waiting=waiting, health=health, watch=watch, wrong=wrong,
        reviews=operator_view.reviews_waiting(services), acts=operator_view.newest_acts(services),
        started=pages().started_at,
    )  # fmt: skip
