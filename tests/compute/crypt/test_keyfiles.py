"""Key files: ours open in the reference package and its published ones open in ours."""

import stat
from pathlib import Path

import pytest
from crypt4gh import keys as c4gh_keys

from compute.crypt import generate_keypair, keyfiles, public_of, read_public_key, read_secret_key
from compute.crypt.keyfiles import write_key_files
from compute.errors import CryptError

VECTORS = Path(__file__).parents[2] / "vectors" / "crypt4gh"
PUBLISHED = [
    ("alice", "alice"),
    ("bob", "bob"),
    ("neic_reader", "password"),
    ("neic_plain", None),
]


@pytest.mark.parametrize(("name", "passphrase"), PUBLISHED)
def test_published_keys_open_and_fit_together(name, passphrase):
    secret = read_secret_key(VECTORS / f"{name}.sec", passphrase)
    assert public_of(secret) == read_public_key(VECTORS / f"{name}.pub")


@pytest.mark.parametrize("passphrase", [None, "a long passphrase é"])
def test_the_reference_package_reads_what_we_write(tmp_path, passphrase):
    secret, public = generate_keypair()
    write_key_files(tmp_path / "k.sec", tmp_path / "k.pub", secret, passphrase)
    assert bytes(c4gh_keys.get_private_key(tmp_path / "k.sec", lambda: passphrase)) == secret
    assert bytes(c4gh_keys.get_public_key(tmp_path / "k.pub")) == public
    assert read_secret_key(tmp_path / "k.sec", passphrase) == secret
    assert stat.S_IMODE((tmp_path / "k.sec").stat().st_mode) == 0o600


def test_a_passphrase_hides_the_key(tmp_path):
    secret, _ = generate_keypair()
    import base64

    text = keyfiles.format_secret_key(secret, "pass").splitlines()[1]
    assert secret not in base64.b64decode(text)
    assert secret in base64.b64decode(keyfiles.format_secret_key(secret).splitlines()[1])


@pytest.mark.parametrize("passphrase", [None, "", "wrong"])
def test_a_missing_or_wrong_passphrase_is_refused(passphrase):
    with pytest.raises(CryptError) as refused:
        read_secret_key(VECTORS / "alice.sec", passphrase)
    assert refused.value.code == "passphrase"


def test_keys_are_never_overwritten(tmp_path):
    secret, _ = generate_keypair()
    write_key_files(tmp_path / "k.sec", tmp_path / "k.pub", secret)
    with pytest.raises(CryptError, match="never overwritten"):
        write_key_files(tmp_path / "k.sec", tmp_path / "other.pub", secret)
    assert not (tmp_path / "other.pub").exists()


def test_damaged_key_files_are_refused_with_our_error(tmp_path):
    data = (VECTORS / "alice.sec").read_bytes()
    lines = data.splitlines()
    for bad in (
        b"",
        b"x",
        data[:40],
        lines[0] + b"\n!!!\n" + lines[2],
        lines[0] + b"\nAAAA\n" + lines[2],
    ):
        with pytest.raises(CryptError):
            keyfiles.parse_secret_key(bad, "alice")
    with pytest.raises(CryptError):
        keyfiles.parse_public_key(data)
    with pytest.raises(CryptError, match="cannot read"):
        read_secret_key(tmp_path / "absent")


def test_every_cut_of_a_key_file_body_is_refused():
    import base64

    body = base64.b64decode((VECTORS / "alice.sec").read_bytes().splitlines()[1])
    for end in range(len(body)):
        text = base64.b64encode(body[:end])
        bad = (
            b"-----BEGIN CRYPT4GH PRIVATE KEY-----\n"
            + text
            + b"\n-----END CRYPT4GH PRIVATE KEY-----\n"
        )
        with pytest.raises(CryptError):
            keyfiles.parse_secret_key(bad, "alice")
