"""Webhook endpoints: where events go and with which secret they are signed.

Spec: https://docs.stripe.com/api/webhook_endpoints.
"""

from marketplace.devstripe.errors import missing
from marketplace.devstripe.events import API_VERSION
from marketplace.devstripe.params import Params, merged_metadata
from marketplace.devstripe.store import Json, Unit, new_id

STARTING = "we_fromthecommandline"


def _endpoint(unit: Unit, endpoint_id: str, url: str, kinds: list[str]) -> Json:
    return {
        "id": endpoint_id,
        "object": "webhook_endpoint",
        "api_version": API_VERSION,
        "application": None,
        "created": unit.now,
        "description": None,
        "enabled_events": kinds,
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
    }


def create(unit: Unit, params: Params) -> Json:
    """Answer POST /v1/webhook_endpoints; the secret is told this once."""
    url, kinds = params.url("url"), params.texts("enabled_events")
    if url is None or not kinds:
        raise missing("url" if url is None else "enabled_events")
    secret = new_id("whsec", 32)
    body = _endpoint(unit, new_id("we"), url, kinds)
    body.update(metadata=params.metadata(), description=params.text("description"))
    stored = unit.put(body, secret=secret, connect=params.boolean("connect"), both=False)
    return {**stored, "secret": secret}


def update(unit: Unit, params: Params, endpoint_id: str) -> Json:
    """Answer POST /v1/webhook_endpoints/<id>."""
    endpoint = unit.get("webhook_endpoint", endpoint_id)
    if (url := params.url("url")) is not None:
        endpoint["url"] = url
    if kinds := params.texts("enabled_events"):
        endpoint["enabled_events"] = kinds
    if "disabled" in params.values:
        endpoint["status"] = "disabled" if params.boolean("disabled") else "enabled"
    endpoint["metadata"] = merged_metadata(endpoint["metadata"], params.metadata())
    return unit.save(endpoint)


def delete(unit: Unit, _params: Params, endpoint_id: str) -> Json:
    """Answer DELETE /v1/webhook_endpoints/<id>; what was queued for it is dropped."""
    unit.get("webhook_endpoint", endpoint_id)
    unit.db.execute("DELETE FROM object WHERE id = ?", (endpoint_id,))
    unit.db.execute("DELETE FROM delivery WHERE endpoint = ?", (endpoint_id,))
    return {"id": endpoint_id, "object": "webhook_endpoint", "deleted": True}


def ensure_starting(unit: Unit, url: str, secret: str) -> None:
    """Keep the endpoint named at the start, hearing platform and Connect events alike."""
    body = _endpoint(unit, STARTING, url, ["*"])
    hidden = {"_secret": secret, "_connect": False, "_both": True}
    if unit.find(STARTING) is None:
        unit.put(body, secret=secret, connect=False, both=True)
    else:
        unit.save({**body, **hidden})
