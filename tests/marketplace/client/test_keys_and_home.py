"""The key store and the home: private files, a passphrase, nothing ever overwritten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.client.errors import HomeError, LedgerChangedError
from marketplace.client.home import Home
from marketplace.client.keys import KeyStore
from marketplace.client.statements import new_id, stated


def modes(directory):
    return {path.stat().st_mode & 0o777 for path in directory.rglob("*") if path.is_file()}


def test_everything_in_a_new_home_is_private_and_has_its_keys(home):
    assert modes(home.path) == {0o600}
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert {p.name for p in (home.path / "keys").iterdir()} == {"sign.pem", "encrypt.pem"}
    assert home.identity["role"] == "owner"
    assert len(home.party) == 32


def test_a_key_is_never_overwritten(tmp_path):
    store = KeyStore(tmp_path)
    store.create("sign", "sign")
    before = (tmp_path / "sign.pem").read_bytes()
    with pytest.raises(HomeError, match="never overwritten"):
        store.create("sign", "sign")
    assert (tmp_path / "sign.pem").read_bytes() == before


def test_a_home_is_one_party(home, trust_file):
    before = home.identity
    with pytest.raises(HomeError, match="already holds an identity"):
        home.create_from(trust_file, "owner", new_id())
    assert home.identity == before


def test_a_passphrase_is_needed_again_and_the_right_one(tmp_path):
    KeyStore(tmp_path, "correct horse").create("encrypt", "encrypt")
    text = (tmp_path / "encrypt.pem").read_text()
    assert "ENCRYPTED PRIVATE KEY" in text
    opened = KeyStore(tmp_path, "correct horse").encryption()
    assert len(opened.secret) == 32
    for wrong in ("battery staple", None):
        with pytest.raises(HomeError, match="OMIC_PASSPHRASE"):
            KeyStore(tmp_path, wrong).encryption()


def test_a_passphrase_for_a_key_without_one_is_said(tmp_path):
    KeyStore(tmp_path).create("sign", "sign")
    with pytest.raises(HomeError, match="unset it"):
        KeyStore(tmp_path, "superfluous").signing()


def test_a_key_of_the_wrong_kind_and_a_missing_one_are_named(tmp_path):
    store = KeyStore(tmp_path)
    store.create("sign", "encrypt")
    with pytest.raises(HomeError, match=r"sign\.pem is not an Ed25519"):
        store.signing()
    with pytest.raises(HomeError, match="omic keygen"):
        store.encryption()
    (tmp_path / "encrypt.pem").write_text("-----BEGIN nonsense")
    with pytest.raises(HomeError, match=r"encrypt\.pem does not open"):
        store.encryption()


def test_a_deleted_dataset_key_is_gone(home):
    home.keys.create("datasets/x", "sign")
    home.keys.delete("datasets/x")
    home.keys.delete("datasets/x")
    assert not home.keys.has("datasets/x")


def test_a_leaf_that_changes_at_an_index_is_loud(home):
    submission = stated("web.released", {"digest": "0" * 64}, home.keys.signing())
    home.keep_entry(submission, 7, b"leaf", 1)
    home.keep_entry(submission, 7, b"leaf", 1)
    with pytest.raises(LedgerChangedError, match="another leaf at index 7"):
        home.keep_entry(submission, 7, b"other", 1)
    assert next(home.documents("entries"))["index"] == 7


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.booleans()))
def test_documents_come_back_as_they_were(tmp_path_factory, value):
    home = Home(tmp_path_factory.mktemp("home"))
    home.write("a/b.json", value)
    assert home.read("a/b.json") == value
    assert not list(home.path.rglob("*.new"))
    assert home.read("a/c.json") is None


def test_what_is_not_there_says_what_to_run(tmp_path, home):
    with pytest.raises(HomeError, match="omic keygen"):
        _ = Home(tmp_path / "none").identity
    with pytest.raises(HomeError, match="omic keygen --trust"):
        _ = Home(tmp_path / "none").trust
    home.write("trust.json", {"attester_url": 3})
    with pytest.raises(HomeError, match="no attester"):
        _ = home.attester_url
