"""Pay a checkout of the development payment server: test money only, never a real card."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from marketplace.client.errors import ClientError, RemoteError


def pay_test_money(checkout: Mapping[str, Any]) -> None:
    """Press "pay" on a test-money checkout; refuses any page that is not the local stand-in."""
    url = urlsplit(str(checkout["url"]))
    if url.hostname not in ("localhost", "127.0.0.1") or not url.path.startswith("/pay/"):
        raise ClientError("this checkout is not the local test-money page; pay it in a browser")
    response = httpx.post(
        f"{url.scheme}://{url.netloc}/_dev/checkout/{checkout['session_id']}/pay", timeout=30.0
    )
    if not response.is_success:
        raise RemoteError("the test payment was refused", response.status_code)
