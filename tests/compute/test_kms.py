"""Every KMS behind the port wraps alike; AWS KMS is spoken to over HTTP (moto's server)."""

import json

import boto3
import pytest
from moto.server import ThreadedMotoServer

from compute.heads import fresh_head
from compute.kms import AwsKms, HybridKms, LayeredKms, enveloped, open_kms
from compute.sealing import LocalKms, StoreError
from compute.store import CohortStore

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def aws():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        endpoint = f"http://{host}:{port}"
        client = boto3.client("kms", region_name="eu-central-1", endpoint_url=endpoint)
        yield client, client.create_key()["KeyMetadata"]["KeyId"], endpoint
    server.stop()


@pytest.fixture(params=["file", "hybrid", "aws", "layered"])
def kms(request, aws):
    client, key, _ = aws
    return {
        "file": LocalKms(KEY),
        "hybrid": HybridKms.of_key(KEY),
        "aws": AwsKms(client, key),
        "layered": LayeredKms(HybridKms.of_key(KEY), AwsKms(client, key)),
    }[request.param]


def test_a_wrapped_key_opens_in_its_own_context_only(kms):
    wrapped = kms.wrap(b"k" * 32, b"here")
    assert b"k" * 16 not in wrapped
    assert kms.wrap(b"k" * 32, b"here") != wrapped
    assert kms.unwrap(wrapped, b"here") == b"k" * 32
    with pytest.raises(StoreError):
        kms.unwrap(wrapped, b"there")
    with pytest.raises(StoreError):
        kms.unwrap(wrapped[:-1] + bytes([wrapped[-1] ^ 1]), b"here")


def test_neither_the_key_file_nor_the_kms_alone_opens_it(aws):
    client, key, _ = aws
    wrapped = LayeredKms(HybridKms.of_key(KEY), AwsKms(client, key)).wrap(b"k" * 32, b"c")
    with pytest.raises(StoreError):
        HybridKms.of_key(KEY).unwrap(wrapped, b"c")
    sealed = AwsKms(client, key).unwrap(wrapped, b"c")
    assert b"k" * 16 not in sealed
    with pytest.raises(StoreError):
        HybridKms.of_key(bytes(32)).unwrap(sealed, b"c")


def test_a_store_opens_again_through_the_kms_and_not_without_it(aws, tmp_path):
    _, key, endpoint = aws
    url = f"aws-kms://{key}?region=eu-central-1&endpoint={endpoint}"
    store = CohortStore(tmp_path / "s.sqlite", first := open_kms(url, KEY, tmp_path))
    store.put(fresh_head("d", "g", "genotypes", 0), [b"sealed"])
    store.keep("name", b"kept")
    store.close()
    assert (tmp_path / "kek.wrapped").stat().st_mode & 0o077 == 0
    assert first.kek.hex() not in (tmp_path / "kek.wrapped").read_text()
    again = open_kms(url, KEY, tmp_path)
    assert again == first
    store = CohortStore(tmp_path / "s.sqlite", again)
    assert store.kept("name") == b"kept"
    store.close()
    with pytest.raises(StoreError):
        open_kms(url, bytes(32), tmp_path)
    with pytest.raises(StoreError):
        CohortStore(tmp_path / "s.sqlite", LocalKms(KEY))


def test_a_damaged_wrapped_key_is_not_drawn_again(tmp_path):
    path = tmp_path / "kek.wrapped"
    kept = enveloped(LocalKms(KEY), path)
    text = path.read_text()
    for damaged in ("", "{}", json.dumps({"wrapped_kek": "00"})):
        path.write_text(damaged)
        with pytest.raises(StoreError):
            enveloped(LocalKms(KEY), path)
        assert path.read_text() == damaged
    path.write_text(text)
    assert enveloped(LocalKms(KEY), path) == kept


def test_an_unknown_kms_and_a_silent_one_are_named(tmp_path):
    with pytest.raises(StoreError, match="kms_url"):
        open_kms("vault://x", KEY, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(StoreError, match="AWS KMS"):
            open_kms("aws-kms://k?region=eu-central-1&endpoint=http://127.0.0.1:9", KEY, tmp_path)
    assert open_kms("file", KEY, tmp_path) == LocalKms(KEY)
