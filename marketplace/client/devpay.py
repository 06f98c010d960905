"""Pay a checkout of the development payment server: test money only, never a real card."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from marketplace.client.errors import ClientError, RemoteError

TEST_CARD = "4242424242424242"


def pay_test_money(checkout: Mapping[str, Any]) -> None:
    """Fill in the test card and press "pay", as a person would in the browser.

    Refuses any page that is not the local stand-in.
    """
    url = str(checkout["url"])
    parts = urlsplit(url)
    if parts.hostname not in ("localhost", "127.0.0.1") or not parts.path.startswith("/pay/"):
        raise ClientError("this checkout is not the local test-money page; pay it in a browser")
    form = {"card": TEST_CARD, "action": "pay", "email": "researcher@example.org"}
    response = httpx.post(url, data=form, timeout=30.0)
    if response.is_error:
        raise RemoteError("the test payment was refused", response.status_code)
