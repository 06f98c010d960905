"""Splitting a study at the custodian: one encrypted object a participant, nothing in the clear."""

from __future__ import annotations

import pytest

from compute.crypt import CryptError, decrypt_file, generate_keypair
from compute.ingest import IngestError, content_digest, parse
from marketplace.client.custodian import FILE, split
from marketplace.client.errors import ClientError
from tests.compute.ingest.real import shipped_plink
from tests.compute.ingest.vcf_text import bcf, bgzf, gz, vcf

SECRET, PUBLIC = generate_keypair()
STUDY = vcf(
    ("1", 5, "A", "G", "0/1", "1/1"), ("1", 7, "C", "T,G", "1/2", "./."), samples=("ann", "bob")
)


def opened(path, secret=SECRET):
    return parse(decrypt_file(path.read_bytes(), secret), "genotypes", "x")


@pytest.mark.parametrize("form", ["vcf", "gz", "bgzf", "bcf"])
def test_each_participant_gets_an_object_only_the_custodian_opens(tmp_path, form):
    data = {"vcf": lambda: STUDY, "gz": lambda: gz(STUDY), "bgzf": lambda: bgzf(STUDY, tmp_path),
            "bcf": lambda: bcf(STUDY, tmp_path)}[form]()  # fmt: skip
    (tmp_path / "study").write_bytes(data)
    done = list(split(tmp_path / "study", tmp_path / "out", PUBLIC, callability=None, build=None))
    assert [one.sample for one in done] == ["ann", "bob"]
    for one in done:
        assert one.path == tmp_path / "out" / one.sample / FILE
        assert one.path.stat().st_mode & 0o777 == 0o600
        assert (
            one.path.read_bytes().startswith(b"crypt4gh")
            and b"OMICGT1" not in one.path.read_bytes()
        )
        whole = parse(STUDY, "genotypes", "x", sample=one.sample)
        assert content_digest(opened(one.path)) == content_digest(whole)
        with pytest.raises(CryptError):
            opened(one.path, generate_keypair()[0])
    assert {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()} == {FILE}


@pytest.mark.parametrize("name", ["../../etc", "a/b", ".hidden", "x" * 80, "-rf", ""])
def test_a_sample_name_is_never_a_path(tmp_path, name):
    (tmp_path / "s.vcf").write_bytes(STUDY.replace(b"\tann", b"\t" + name.encode()))
    with pytest.raises(ClientError, match="cannot name a folder"):
        list(split(tmp_path / "s.vcf", tmp_path / "out", PUBLIC, callability=None, build=None))
    assert not (tmp_path / "out").exists()


def test_what_is_refused_leaves_no_object(tmp_path):
    (tmp_path / "s.vcf").write_bytes(STUDY.replace(b"\tbob", b"\t../bob"))
    with pytest.raises(ClientError):
        list(split(tmp_path / "s.vcf", tmp_path / "out", PUBLIC, callability=None, build=None))
    assert not (tmp_path / "out").exists()
    (tmp_path / "s.vcf").write_bytes(STUDY[:-3])
    with pytest.raises(IngestError) as refused:
        list(split(tmp_path / "s.vcf", tmp_path / "out", PUBLIC, callability=None, build=None))
    assert refused.value.code == "truncated" and not (tmp_path / "out").exists()
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "x").touch()
    with pytest.raises(ClientError, match="not empty"):
        list(split(tmp_path / "s.vcf", tmp_path / "used", PUBLIC, callability=None, build=None))
    with pytest.raises(IngestError):
        list(split(tmp_path / "no.vcf", tmp_path / "out", PUBLIC, callability=None, build=None))


@pytest.mark.peer
def test_plink_file_sets(tmp_path):
    bed, pgen = shipped_plink(tmp_path)
    with pytest.raises(ClientError, match="--build"):
        list(split(bed, tmp_path / "a", PUBLIC, callability=None, build=None))
    beds = list(split(bed, tmp_path / "a", PUBLIC, callability=None, build="GRCh37"))
    said = {"callability": "array-manifest", "build": "GRCh37"}
    pgens = list(split(pgen, tmp_path / "b", PUBLIC, **said))
    assert len(beds) == len(pgens) == 178
    for one, other in zip(beds[::40], pgens[::40], strict=True):
        assert content_digest(opened(one.path)) == content_digest(opened(other.path))
