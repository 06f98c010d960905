"""What the key origin's process answers: files as they are, or packed for who takes that."""

import gzip
import hashlib
import json

import pytest
from werkzeug.test import Client

from marketplace.keyorigin import build
from marketplace.keyorigin.server import make_app
from tests.marketplace.keyorigin.conftest import trust_document

# What a page loads when it is opened; the writer of Parquet files comes with the first one asked for.
LATER = ("/vendor/parquet", "/vendor/LICENSES")


@pytest.fixture(scope="module")
def bundle():
    return build(trust_document())


def test_a_file_is_the_same_packed_or_not_and_the_manifest_names_it(bundle):
    client = Client(make_app(bundle))
    digests = json.loads(client.get("/manifest.json").data)["files"]
    assert digests.keys() == bundle.files.keys()
    for path, digest in digests.items():
        plain = client.get(path)
        packed = client.get(path, headers={"Accept-Encoding": "br, gzip"})
        assert hashlib.sha256(plain.data).hexdigest() == digest
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.data) == plain.data
        assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
        assert plain.headers["ETag"] == f'"{bundle.digest}"'


def test_a_key_page_weighs_less_than_300_kb(bundle):
    """All files together, as sent: more than any page loads."""
    client = Client(make_app(bundle))
    sizes = [
        len(client.get(path, headers={"Accept-Encoding": "gzip"}).data)
        for path in bundle.files
        if not path.startswith(LATER)
    ]
    assert 50_000 < sum(sizes) < 300_000


def test_nothing_but_reading_is_answered(bundle):
    client = Client(make_app(bundle))
    assert client.post("/").status_code == 405
    assert client.get("/js/none.js").status_code == 404
    assert client.get("/healthz").json == {"status": "ok"}
