"""The object store on S3: the same put, range, delete and refusals, chosen by URL alone.

moto plays S3 on this machine; addresses and keys reach the store as they would in production, in
the environment.
"""

import hashlib
import io
import os

import boto3
import pytest
from moto.server import ThreadedMotoServer

from marketplace.errors import NotFoundError, TamperedError, TooLargeError, UnavailableError
from marketplace.objects import PART, ObjectStore

BUCKET = "omic-test"


@pytest.fixture(scope="module")
def s3():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
        }.items():  # fmt: skip
            environment.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client
    server.stop()


@pytest.fixture
def store(s3):
    return ObjectStore.open(f"s3://{BUCKET}/objects")


def keys(s3):
    return [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


@pytest.mark.parametrize("size", [0, 1, 65_537, PART + 12_345])
def test_what_is_put_comes_back_whole_and_in_ranges(size, store, s3):
    body = os.urandom(size)
    digest = hashlib.sha256(body).hexdigest()
    stored = store.put("a/b", io.BytesIO(body), limit=size, sha256=digest)
    assert (stored.size, stored.sha256) == (size, digest)
    assert keys(s3) == ["objects/a/b"]
    assert b"".join(store.read("a/b")) == body
    if size > 100:
        assert b"".join(store.read("a/b", 10, 99)) == body[10:99]
        assert b"".join(store.read("a/b", size - 7)) == body[-7:]
    store.delete("a/b")
    store.delete("a/b")
    assert keys(s3) == []
    with pytest.raises(NotFoundError):
        store.read("a/b")


def test_a_body_too_large_or_not_as_announced_leaves_nothing(store, s3):
    with pytest.raises(TooLargeError):
        store.put("x", io.BytesIO(bytes(3 << 20)), limit=2 << 20)
    with pytest.raises(TamperedError):
        store.put("x", io.BytesIO(b"body"), limit=100, sha256="0" * 64)
    assert keys(s3) == []


def test_a_bucket_that_is_not_there_is_our_error(s3):
    store = ObjectStore.open("s3://nobody-has-this/objects")
    with pytest.raises((UnavailableError, NotFoundError)):
        store.put("x", io.BytesIO(b"body"), limit=100)
    with pytest.raises((UnavailableError, NotFoundError)):
        store.read("x")
