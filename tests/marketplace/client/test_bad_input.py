"""Bad input through the `omic` command: what is wrong, where, what to do; status 2; nothing kept.

Nothing here may need a server: a file is checked before anything leaves, so every refusal below
comes from a client whose market does not answer.
"""

import gzip
import os
import subprocess
import sys

import pytest

from tests.compute.ingest.vcf_text import bgzf, vcf
from tests.marketplace.client.conftest import NOWHERE, snapshot

SITE = ("1", 1000, "A", "G", "0/1")
GOOD = vcf(SITE)


def bad_files(tmp_path):
    """name -> (bytes, extra arguments, words the message must hold)."""
    whole = bgzf(vcf(*[("1", 1000 + i, "A", "G", "0/1") for i in range(3000)]), tmp_path)
    no_build = vcf(SITE, contigs={"1": 1000000})
    # Headers of GRCh38 with a chromosome of GRCh37: no build at all.
    mixed = vcf(SITE, contigs={"1": 249250621, "2": 242193529})
    return {
        "picture.png": (b"\x89PNG\r\n\x1a\n" + os.urandom(200), [], ["VCF"]),
        "empty.vcf": (b"", [], ["empty"]),
        "cut.vcf.gz": (whole[: len(whole) // 2], [], ["download"]),
        "no_end.vcf.gz": (whole[:-28], [], ["end-of-file"]),
        "damaged.gz": (gzip.compress(GOOD)[:-8] + bytes(8), [], ["download"]),
        "unclear.vcf": (no_build, [], ["build"]),
        "mixed.vcf": (mixed, [], ["build"]),
        "sites.vcf": (sites_only(), [], ["sample"]),
        "family.vcf": (vcf((*SITE, "0/0"), samples=("ann", "bob")), [], ["--sample"]),
        "other.vcf": (
            vcf((*SITE, "0/0"), samples=("ann", "bob")),
            ["--sample", "eve"],
            ["no sample of that name"],
        ),
        "letters.vcf": (GOOD.replace(b"\t1000\t", b"\tmany\t"), [], ["line"]),
        "genotype.vcf": (vcf(("1", 1000, "A", "G", "0/7")), [], ["line"]),
    }


def sites_only():
    lines = GOOD.decode().splitlines()
    cut = [line if line.startswith("##") else "\t".join(line.split("\t")[:8]) for line in lines]
    return ("\n".join(cut) + "\n").encode()


NAMES = (
    "picture.png", "empty.vcf", "cut.vcf.gz", "no_end.vcf.gz", "damaged.gz", "unclear.vcf",
    "mixed.vcf", "sites.vcf", "family.vcf", "other.vcf", "letters.vcf", "genotype.vcf",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_file_is_named_and_nothing_is_registered(name, tmp_path, home, omic):
    data, extra, words = bad_files(tmp_path)[name]
    path = tmp_path / name
    path.write_bytes(data)
    before = snapshot(home.path)
    status, _, said = omic("--home", home.path, "register", path, *extra)
    assert status == 2, said
    assert said.startswith(f"omic: {path.name}")
    for word in words:
        assert word in said
    assert "Traceback" not in said
    assert said.count("\n") <= 3
    assert snapshot(home.path) == before


@pytest.mark.parametrize(
    ("modality", "text"),
    [("expression", b"feature_id\tvalue\nENSG1\tmany\n"), ("participant", b"{not json")],
)
def test_other_kinds_of_files_too(modality, text, tmp_path, home, omic):
    path = tmp_path / "file"
    path.write_bytes(text)
    before = snapshot(home.path)
    status, _, said = omic("--home", home.path, "register", path, "--modality", modality)
    assert status == 2
    assert said.startswith(f"omic: {path.name}")
    assert snapshot(home.path) == before


def test_a_good_file_with_the_market_down_leaves_no_dataset(tmp_path, home, omic):
    path = tmp_path / "good.vcf"
    path.write_bytes(GOOD)
    status, _, said = omic("--home", home.path, "register", path)
    assert status == 2, said
    assert NOWHERE in said
    assert "does not answer" in said
    assert list(home.documents("datasets")) == []
    assert list(home.documents("entries")) == []


def test_a_file_that_is_registered_already_names_its_dataset(tmp_path, home, omic):
    from compute.ingest import inspect

    digest = inspect(GOOD, "genotypes", "x").content_digest
    record = {"dataset": "d" * 32, "name": "old.vcf", "content_digest": digest, "erased": False}
    home.write(f"datasets/{'d' * 32}.json", record)
    path = tmp_path / "again.vcf.gz"
    path.write_bytes(bgzf(GOOD, tmp_path))  # other bytes, the same content
    before = snapshot(home.path)
    status, _, said = omic("--home", home.path, "register", path)
    assert status == 2
    assert "d" * 32 in said
    assert "erase it first" in said
    assert snapshot(home.path) == before
    home.write(f"datasets/{'d' * 32}.json", {**record, "erased": True})
    assert "already registered" not in omic("--home", home.path, "register", path)[2]


def test_a_missing_file_and_an_unknown_modality(tmp_path, home, omic):
    status, _, said = omic("--home", home.path, "register", tmp_path / "none.vcf")
    assert (status, "No such file" in said) == (2, True)
    path = tmp_path / "good.vcf"
    path.write_bytes(GOOD)
    status, _, said = omic("--home", home.path, "register", path, "--modality", "proteins")
    assert (status, "genotypes, expression" in said) == (2, True)


COMMANDS = [
    ("list",), ("activity",), ("consent", "list"), ("consent", "withdraw", "0" * 32),
    ("consent", "grant", "0" * 32), ("erase", "--yes", "0" * 32), ("receipts",),
    ("offer", "0" * 32), ("order", "show", "0" * 32), ("review", "list"), ("audit", "ledger"),
]  # fmt: skip
# An empty list of what is not there is a true answer.
HARMLESS = {("list",), ("consent", "list")}
LOCAL = {*HARMLESS, ("receipts",)}


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_home_every_command_says_keygen(command, tmp_path, omic):
    status, _, said = omic("--home", tmp_path / "none", *command)
    if command in HARMLESS:
        assert status == 0
    else:
        assert status == 2, said
        assert "omic keygen" in said
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_with_the_market_down_every_command_ends_in_one_message(command, home, omic):
    before = snapshot(home.path)
    status, _, said = omic("--home", home.path, *command)
    if command not in LOCAL:
        assert status == 2, said
        assert said.startswith("omic:")
    assert "Traceback" not in said
    assert snapshot(home.path) == before


def test_unknown_ids_are_said_before_anybody_is_asked(home, omic):
    for command, word in [
        (("consent", "withdraw", "0" * 32), "omic consent list"),
        (("erase", "--yes", "0" * 32), "omic list"),
    ]:
        status, _, said = omic("--home", home.path, *command)
        assert (status, word in said) == (2, True)


def test_a_wrong_passphrase_is_said_and_changes_nothing(tmp_path, trust_file, omic):
    trust = tmp_path / "trust.json"
    trust.write_bytes(trust_file)
    place = tmp_path / "locked"
    made = ("--home", place, "keygen", "--trust", trust)
    assert omic(*made, passphrase="correct horse")[0] == 0
    before = snapshot(place)
    path = tmp_path / "good.vcf"
    path.write_bytes(GOOD)
    for wrong in ("battery staple", None):
        status, _, said = omic("--home", place, "register", path, passphrase=wrong)
        assert status == 2
        assert "OMIC_PASSPHRASE" in said
        assert snapshot(place) == before
    assert "correct horse" not in said


def test_keygen_refuses_a_second_identity_and_a_bad_trust_file(tmp_path, home, trust_file, omic):
    trust = tmp_path / "trust.json"
    trust.write_bytes(trust_file)
    before = snapshot(home.path)
    status, _, said = omic("--home", home.path, "keygen", "--trust", trust)
    assert (status, "already holds an identity" in said) == (2, True)
    assert snapshot(home.path) == before
    for text, word in ((b"{}", "trust.json"), (b"not json", "trust.json")):
        trust.write_bytes(text)
        status, _, said = omic("--home", tmp_path / "new", "keygen", "--trust", trust)
        assert (status, word in said) == (2, True), said
        assert not (tmp_path / "new" / "identity.json").exists()
    status, _, said = omic("--home", tmp_path / "new", "keygen", "--trust", tmp_path / "none")
    assert (status, "No such file" in said) == (2, True)
    status, _, said = omic("--home", tmp_path / "new", "keygen", "--trust", NOWHERE + "/trust.json")
    assert (status, "omic up" in said) == (2, True)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "not JSON"),
        ("{}", "omic order template"),
        ("[]", "request"),
        ('{"purpose": 3}', "purpose"),
    ],
)
def test_a_bad_request_file_is_named(text, word, tmp_path, home, omic):
    path = tmp_path / "request.json"
    path.write_text(text)
    status, _, said = omic("--home", home.path, "order", "place", path)
    assert status == 2, said
    assert word in said
    assert "Traceback" not in said


def test_the_template_is_a_request_that_reads(tmp_path, omic):
    from marketplace.client.cli_researcher import _request

    status, text, _ = omic("order", "template")
    assert status == 0
    path = tmp_path / "request.json"
    path.write_text(text)
    assert _request(path).scope.modalities == ("genotypes",)


def test_a_facet_and_terms_that_do_not_read(tmp_path, home, omic):
    status, _, said = omic("--home", home.path, "offer", "0" * 32, "--facet", "CEU")
    assert (status, "name=value" in said) == (2, True)
    terms = tmp_path / "terms.json"
    terms.write_text("{")
    for name, word in ((str(terms), "terms.json"), ("free_for_all", "my_condition_free")):
        status, _, said = omic("--home", home.path, "offer", "0" * 32, "--terms", name)
        assert (status, word in said) == (2, True), said


def test_the_installed_program_itself(tmp_path, home):
    """One refusal through a process of its own: status 2, one line, nothing on standard output."""
    path = tmp_path / "picture.vcf"
    path.write_bytes(os.urandom(500))
    done = subprocess.run(
        [sys.executable, "-m", "marketplace.client.cli", "--home", home.path, "register", path],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"omic: {path.name}, line 1")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
