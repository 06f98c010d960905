"""The test-money payer never touches a page that is not the local stand-in."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from marketplace.client.devpay import TEST_CARD, pay_test_money
from marketplace.client.errors import ClientError, RemoteError


@pytest.fixture
def page():
    """A payment page that keeps what was posted; set .status to refuse."""

    class Page(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            server.posted.append((self.path, self.rfile.read(length).decode()))
            self.send_response(server.status)
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Page)
    server.posted, server.status = [], 200
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "url",
    [
        "https://checkout.stripe.com/pay/cs_live_1",
        "http://localhost.example.org/pay/cs_test_1",
        "http://127.0.0.1@evil.example/pay/cs_test_1",
        "http://[::2]/pay/cs_test_1",
        "/pay/cs_test_1",
    ],
)
def test_no_other_host_is_ever_paid(url, page):
    with pytest.raises(ClientError, match="browser"):
        pay_test_money({"url": url})
    assert page.posted == []


def test_another_page_of_this_machine_is_not_paid(page):
    with pytest.raises(ClientError, match="browser"):
        pay_test_money({"url": f"http://127.0.0.1:{page.server_port}/admin"})
    assert page.posted == []


def test_the_stand_in_is_paid_with_the_test_card_and_its_refusal_is_told(page):
    url = f"http://127.0.0.1:{page.server_port}/pay/cs_test_1"
    pay_test_money({"url": url})
    ((path, form),) = page.posted
    assert path == "/pay/cs_test_1"
    assert TEST_CARD in form
    page.status = 402
    with pytest.raises(RemoteError, match="refused"):
        pay_test_money({"url": url})
