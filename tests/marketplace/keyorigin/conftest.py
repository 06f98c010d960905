"""The key origin behind a real HTTP server, and a browser page on it with a virtual authenticator."""

import json
import shutil

import pytest

from marketplace.keyorigin import build
from marketplace.keyorigin.server import make_app
from tests.served import served

CHROMIUM = shutil.which("chromium")
AUTHENTICATOR = {
    "protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "internal", "hasResidentKey": True,
    "hasUserVerification": True, "isUserVerified": True, "hasPrf": True,
    "automaticPresenceSimulation": True,
}  # fmt: skip


def trust_document(**more) -> bytes:
    value = {
        "v": 1, "origin": "localhost/test", "ledger_url": "http://127.0.0.1:9",
        "marketplace_url": "http://localhost:9", "attester_url": "http://127.0.0.1:9",
        "witness_policy": "", "pins": {}, "max_checkpoint_age_ms": 10_000, "embedded": True,
        "passkeys": {"rp_id": "localhost", "origins": ["http://localhost:9"]}, **more,
    }  # fmt: skip
    return json.dumps(value).encode()


@pytest.fixture(scope="session")
def key_pages():
    """The address of a served bundle."""
    with served(make_app(build(trust_document()))) as port:
        yield f"http://localhost:{port}"


@pytest.fixture(scope="session")
def js(key_pages, chromium):
    """Run a function of one of the pages' modules: js("merkle", "return m.climb(...)", argument)."""
    page = chromium.new_page()
    page.goto(f"{key_pages}/#/verify")

    def run(module, body, argument=None):
        modules = f"['/js/{module}.js', '/js/bytes.js'].map((n) => import(n))"
        code = f"async (x) => {{ const [m, b] = await Promise.all({modules}); {body} }}"
        return page.evaluate(code, argument)

    run.page = page
    yield run
    page.close()
