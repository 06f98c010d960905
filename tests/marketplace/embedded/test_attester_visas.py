"""The attester states what visas of pinned issuers vouch for, of the first who shows them."""

import os
import time
from types import SimpleNamespace

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from marketplace.client.keys import KeyStore
from marketplace.embedded.attester import create_app
from marketplace.visas import CLAIM, Issuer

KEY = ECKey.generate_key("P-256", auto_kid=True)
ISS, JKU = "https://broker.test", "https://broker.test/jwks"


class Ledger:
    """Takes what it is given."""

    def __init__(self):
        self.taken = []

    def append(self, submissions, wait=False):
        self.taken += submissions
        return [SimpleNamespace(index=len(self.taken)) for _ in submissions]


def visa():
    now = int(time.time())
    held = {"type": "AffiliationAndRole", "value": "faculty@college.ac.uk", "source": "x",
            "asserted": now - 5}  # fmt: skip
    claims = {"iss": ISS, "sub": "ann", "iat": now, "exp": now + 60, CLAIM: held}
    return jwt.encode({"alg": "ES256", "kid": KEY.kid, "jku": JKU}, claims, KEY)


def test_visas_become_an_attestation_that_ends_with_them_and_belongs_to_one_party(tmp_path):
    store, ledger = KeyStore(tmp_path), Ledger()
    store.create("sign", "sign")
    issuer = Issuer(ISS, JKU, KeySet([KEY]), {"college.ac.uk": {"sector": "academic"}})
    http = create_app(store.signing(), ledger, [issuer]).test_client()
    party, other = os.urandom(16).hex(), os.urandom(16).hex()
    answer = http.post("/visas", json={"party": party, "visas": [visa()]})
    assert answer.json == {"index": 1, "claims": {"sector": "academic"}}
    payload = ledger.taken[0].entry.payload
    assert payload["party"] == party
    assert payload["expires_at"] <= (time.time() + 61) * 1000
    assert http.post("/visas", json={"party": other, "visas": [visa()]}).status_code == 400
    assert http.post("/visas", json={"party": party, "visas": ["x.y.z"]}).status_code == 400
    assert len(ledger.taken) == 1
