"""A share whose delivery fails is kept, said to be unsent, and sent again."""

from types import SimpleNamespace

import pytest

from compute.crypt import encrypt_file, generate_keypair, read_header
from compute.crypt.keyfiles import format_public_key
from ledger import b64
from marketplace.client import passport
from marketplace.client.errors import ClientError, RemoteError
from marketplace.client.home import Home
from tests.compute.ingest.vcf_text import vcf

DATASET = "d" * 32


class Market:
    """Refuses the first delivery; keeps what it takes."""

    def __init__(self, cipher):
        self.cipher, self.refusals, self.taken = cipher, 1, []

    def _take(self, *what):
        if self.refusals:
            self.refusals -= 1
            raise RemoteError("localhost does not answer", 503, "unavailable")
        self.taken.append(what)
        return {}

    def post(self, path, body):
        return self._take(path, body)

    def deposit_part(self, share, data, digest):
        return self._take(share, data, digest)

    def download(self, _path):
        return self.cipher

    def get(self, _path):
        return {"shares": []}


@pytest.fixture
def session(tmp_path, monkeypatch):
    home = Home(tmp_path / "home")
    home.write("identity.json", {"party": "p" * 32, "role": "owner", "origin": "localhost/test"})
    home.keys.create("encrypt", "encrypt")
    cipher = encrypt_file(
        vcf(("1", 100, "A", "G", "0/1"), ("1", 200, "C", "T", "1/1")), home.keys.encryption().public
    )
    home.write(f"datasets/{DATASET}.json", {
        "dataset": DATASET, "modality": "genotypes", "erased": False,
        "header": b64(read_header(cipher)),
    })  # fmt: skip
    monkeypatch.setattr(passport, "signed", lambda *_args, **_more: None)
    monkeypatch.setattr(passport, "append", lambda *_args: [SimpleNamespace(index=7)])
    monkeypatch.setattr(Home, "trust", SimpleNamespace(marketplace_url="http://localhost:9/"))
    return SimpleNamespace(home=home, ledger=None, market=Market(cipher))


@pytest.fixture
def doctor(tmp_path):
    path = tmp_path / "doctor.pub"
    path.write_bytes(format_public_key(generate_keypair()[1]))
    return path


@pytest.mark.parametrize("region", [None, passport.Region("1", 150, 250)])
def test_a_share_the_market_did_not_take_is_sent_again(session, doctor, region):
    with pytest.raises(RemoteError, match="omic passport send") as caught:
        passport.share(session, DATASET, doctor, None, region=region)
    assert (caught.value.status, caught.value.code) == (503, "unavailable")
    (listed,) = passport.shares(session)
    assert listed["status"] == passport.NOT_SENT
    assert not {"link", "waiting"} & set(listed)
    made = passport.send(session, listed["share"])
    assert made["link"].startswith("http://localhost:9/api/v1/passport/")
    assert passport.send(session, listed["share"]) == made
    (taken,) = session.market.taken  # once, however often it is asked for
    assert (listed["share"] in taken) == (region is not None)
    assert "status" not in passport.shares(session)[0]


def test_a_part_that_lies_in_a_browser_and_an_ended_share_are_not_sent(session, doctor):
    session.market.refusals = 0
    made = passport.share(session, DATASET, doctor, None)
    name = f"passport/{made['share']}.json"
    session.home.write(name, {**made, "waiting": {"part": None}})
    with pytest.raises(ClientError, match="browser you shared it from"):
        passport.send(session, made["share"])
    session.home.write(name, {**made, "stopped": 9})
    with pytest.raises(ClientError, match="no open share"):
        passport.send(session, made["share"])
