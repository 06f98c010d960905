"""Connect accounts: made, onboarded by one click, listed.

Nobody's identity is asked or stored: onboarding is a button. Spec: https://docs.stripe.com/connect.
"""

from marketplace.devstripe.errors import invalid, missing, no_such, wrong_state
from marketplace.devstripe.events import emit
from marketplace.devstripe.params import Params, merged_metadata
from marketplace.devstripe.store import Json, Unit, new_id

LINK_SECONDS = 300
DUE = ["external_account", "tos_acceptance.date", "tos_acceptance.ip"]
ACCOUNT_PARAMS = (
    "type", "country", "email", "capabilities", "business_type", "business_profile",
    "controller", "default_currency", "metadata", "settings",
)  # fmt: skip


def create(unit: Unit, params: Params) -> Json:
    """Answer POST /v1/accounts: an account that can receive nothing until onboarded."""
    wanted = params.sub("capabilities")
    names = [name for name in wanted.values if wanted.sub(name).boolean("requested")]
    country = (params.text("country", 2) or "US").upper()
    return unit.put(
        {
            "id": new_id("acct", 16),
            "object": "account",
            "business_profile": {"mcc": None, "name": None, "product_description": None,
                                 "support_address": None, "support_email": None,
                                 "support_phone": None, "support_url": None, "url": None},
            "business_type": params.text("business_type"),
            "capabilities": dict.fromkeys(names or ["transfers"], "inactive"),
            "charges_enabled": False,
            "controller": {"is_controller": True, "type": "application"},
            "country": country,
            "created": unit.now,
            "default_currency": (params.text("default_currency", 3) or "usd").lower(),
            "details_submitted": False,
            "email": params.text("email"),
            "external_accounts": _empty("external_accounts"),
            "future_requirements": _requirements([]),
            "livemode": False,
            "metadata": params.metadata(),
            "payouts_enabled": False,
            "requirements": _requirements(DUE),
            "settings": None,
            "tos_acceptance": {"date": None, "ip": None, "user_agent": None},
            "type": params.choice("type", ("express", "custom", "standard", "none"), "express"),
        }
    )  # fmt: skip


def _requirements(due: list[str]) -> Json:
    return {
        "alternatives": [],
        "current_deadline": None,
        "currently_due": due,
        "disabled_reason": "requirements.past_due" if due else None,
        "errors": [],
        "eventually_due": due,
        "past_due": due,
        "pending_verification": [],
    }


def _empty(what: str) -> Json:
    return {"object": "list", "data": [], "has_more": False, "url": f"/v1/{what}"}


def update(unit: Unit, params: Params, account_id: str) -> Json:
    """Answer POST /v1/accounts/<id>: e-mail and metadata."""
    account = unit.get("account", account_id)
    if (email := params.text("email")) is not None:
        account["email"] = email
    account["metadata"] = merged_metadata(account["metadata"], params.metadata())
    emit(unit.scoped(account_id), "account.updated", unit.save(account))
    return account


def create_link(unit: Unit, params: Params) -> Json:
    """Answer POST /v1/account_links: a page that works once within five minutes."""
    account = unit.get("account", params.required("account"), "account")
    params.choice("type", ("account_onboarding", "account_update"), "account_onboarding")
    urls = {name: params.url(name) for name in ("return_url", "refresh_url")}
    for name, url in urls.items():
        if url is None:
            raise missing(name)
    link_id = new_id("link", 32)
    answer = {
        "object": "account_link",
        "created": unit.now,
        "expires_at": unit.now + LINK_SECONDS,
        "livemode": False,
        "url": f"{unit.request.get('base', '')}/connect/{link_id}",
    }
    unit.put({"id": link_id, **answer, **urls, "account": account["id"], "used": False})
    return answer


def link(unit: Unit, link_id: str) -> tuple[Json, bool]:
    """Return an account link and whether it still works."""
    found = unit.get("account_link", link_id)
    return found, not found["used"] and found["expires_at"] > unit.now


def use_link(unit: Unit, link_id: str) -> Json:
    """Onboard the link's account; the link works once."""
    found, usable = link(unit, link_id)
    if not usable:
        raise wrong_state("This account link was used or has expired.", "account_link_invalid")
    unit.save({**found, "used": True})
    onboard(unit, found["account"])
    return found


def onboard(unit: Unit, account_id: str) -> Json:
    """Make an account able to receive transfers and payouts."""
    account = unit.get("account", account_id)
    account.update(
        charges_enabled=True,
        payouts_enabled=True,
        details_submitted=True,
        capabilities=dict.fromkeys(account["capabilities"], "active"),
        requirements=_requirements([]),
        tos_acceptance={"date": unit.now, "ip": None, "user_agent": None},
    )
    emit(unit.scoped(account_id), "account.updated", unit.save(account))
    return account


def restrict(unit: Unit, account_id: str) -> Json:
    """Take an account's payouts and transfers away again, as a failed check would."""
    account = unit.get("account", account_id)
    account.update(
        payouts_enabled=False,
        capabilities=dict.fromkeys(account["capabilities"], "inactive"),
        requirements=_requirements(DUE),
    )
    emit(unit.scoped(account_id), "account.updated", unit.save(account))
    return account


def delete(unit: Unit, _params: Params, account_id: str) -> Json:
    """Answer DELETE /v1/accounts/<id>; refused while the account has a balance."""
    unit.get("account", account_id)
    if any(unit.scoped(account_id).balances().values()):
        raise invalid("account", "the account has a balance; empty it first.", "account_invalid")
    unit.db.execute("DELETE FROM object WHERE id = ?", (account_id,))
    return {"id": account_id, "object": "account", "deleted": True}


def receiving_account(unit: Unit, account_id: str) -> Json:
    """Return an account that may receive a transfer, or refuse."""
    account = unit.find(account_id)
    if account is None or account["object"] != "account":
        raise no_such("destination", account_id[:80], "destination")
    if account["capabilities"].get("transfers") != "active":
        raise wrong_state(
            "Your destination account needs to have at least one of the following capabilities"
            " enabled: transfers, crypto_transfers, legacy_payments",
            "insufficient_capabilities_for_transfer",
        )
    return account
