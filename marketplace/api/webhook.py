"""Where the payment provider calls: the raw body is verified, then the state is fetched again."""

from typing import Any

from apiflask import APIBlueprint
from flask import request

from marketplace import webhooks
from marketplace.api import models
from marketplace.api.common import services

webhook = APIBlueprint("webhook", __name__, url_prefix="/stripe", tag="payment provider")


@webhook.post("/webhook")
@webhook.output(models.DoneOut)
def receive() -> Any:
    """Take a signed event; a repeated one is accepted and changes nothing."""
    raw = request.get_data(cache=False)
    signature = request.headers.get("Stripe-Signature", "")
    return {"stored": webhooks.keep(services(), raw, signature)}
