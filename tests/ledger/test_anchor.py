"""The anchor contract on py-evm: k of n, only forward; and the audit of a log against it."""

import json
from dataclasses import replace
from importlib import metadata

import pytest

pytest.importorskip("web3", reason="the extra evm is not installed")

from eth_account import Account
from eth_tester import EthereumTester, PyEVMBackend
from hypothesis import given
from hypothesis import strategies as st
from web3 import EthereumTesterProvider, Web3

from ledger.anchor import (
    AnchorContract,
    AnchorError,
    Domain,
    MemberSignature,
    audit_anchors,
    deploy,
    sign_checkpoint,
    signer_of,
)
from ledger.anchor import __main__ as cli
from ledger.anchor.contract import ARTEFACT
from ledger.checkpoint import Checkpoint, format_checkpoint
from ledger.errors import FormatError
from ledger.merkle import consistency_proof, leaf_hash, tree_root
from ledger.note import Note, format_note, sign_note
from tests.ledger.ledger_scenes import ORIGIN, SIGNER, START, TRUST, WITNESSES

MEMBERS = [f"{i:064x}" for i in range(1, 6)]
STRANGER = f"{99:064x}"
HASHES = [leaf_hash(b"%d" % i) for i in range(40)]


def address(key):
    return Account.from_key(key).address


def checkpoint(size, hashes=HASHES):
    return Checkpoint(ORIGIN, size, tree_root(hashes[:size]))


@pytest.fixture
def chain():
    """A chain with a contract for 3 of 5 members; `chain.key` pays."""
    backend = PyEVMBackend()
    web3 = Web3(EthereumTesterProvider(EthereumTester(backend)))
    web3.key = backend.account_keys[0].to_hex()
    web3.contract = deploy(web3, web3.key, [address(key) for key in MEMBERS], 3)
    return web3


def signed(chain, what, keys):
    return [sign_checkpoint(key, what, chain.contract.domain) for key in keys]


def anchor(chain, size, keys=MEMBERS[:3], hashes=HASHES):
    what = checkpoint(size, hashes)
    return chain.contract.anchor(chain.key, what, signed(chain, what, keys))


def test_the_contract_is_what_the_pinned_compiler_makes():
    vyper = pytest.importorskip("vyper")
    artefact = json.loads(ARTEFACT.read_text())
    assert artefact["compiler"] == f"vyper {metadata.version('vyper')}"
    source = ARTEFACT.with_suffix(".vy").read_text()
    made = vyper.compile_code(source, output_formats=["bytecode", "abi"])
    assert made["bytecode"] == artefact["bytecode"]
    assert made["abi"] == artefact["abi"]


def test_k_of_n_and_events(chain):
    assert chain.contract.threshold() == 3
    assert set(chain.contract.members()) == {address(key) for key in MEMBERS}
    assert chain.contract.head(ORIGIN) == (0, bytes(32))
    done = anchor(chain, 5)
    anchor(chain, 9, MEMBERS[1:5])
    assert chain.contract.head(ORIGIN) == (9, checkpoint(9).root)
    first, second = chain.contract.anchored(ORIGIN)
    assert first == done
    assert (second.size, second.root) == (9, checkpoint(9).root)
    assert set(second.signers) == {address(key) for key in MEMBERS[1:5]}
    assert chain.contract.anchored("another log") == []
    again = AnchorContract(chain, chain.contract.domain.contract)
    assert again.anchored(ORIGIN, done.block + 1) == [second]


def test_only_forward(chain):
    anchor(chain, 9)
    for size in (9, 8, 1):
        with pytest.raises(AnchorError, match="not longer"):
            anchor(chain, size)
    anchor(chain, 10)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (MEMBERS[:2], "too few"),
        ([], "too few"),
        ([*MEMBERS[:2], MEMBERS[0]], "too few"),  # one member twice is one member
        ([*MEMBERS[:2], STRANGER], "no member"),
        ([*MEMBERS, STRANGER], "no member"),
    ],
)
def test_who_must_sign(chain, keys, reason):
    with pytest.raises(AnchorError, match=reason):
        anchor(chain, 5, keys)
    assert chain.contract.head(ORIGIN)[0] == 0
    anchor(chain, 5)  # control


def test_one_member_twice_past_the_client(chain):
    """The contract itself counts members, not signatures."""
    what = checkpoint(5)
    one, two = signed(chain, what, sorted(MEMBERS[:2], key=lambda k: int(address(k), 16)))
    triple = [(one.v, one.r, one.s), (one.v, one.r, one.s), (two.v, two.r, two.s)]
    from ledger.anchor.signing import origin_hash

    call = chain.contract._contract.functions.anchor(
        origin_hash(ORIGIN), what.size, what.root, triple
    )
    with pytest.raises(Exception, match="rising order"):
        call.call()


def test_a_signature_is_for_one_checkpoint_contract_and_chain(chain):
    what = checkpoint(5)
    other = deploy(chain, chain.key, [address(key) for key in MEMBERS], 3)
    good = signed(chain, what, MEMBERS[:3])
    for wrong in (
        replace(what, size=6),
        replace(what, root=bytes(32)),
        replace(what, origin="other.example/log"),
    ):
        with pytest.raises(AnchorError, match="no member"):
            chain.contract.anchor(chain.key, wrong, good)
    with pytest.raises(AnchorError, match="no member"):
        other.anchor(chain.key, what, good)
    elsewhere = replace(chain.contract.domain, chain_id=1)
    with pytest.raises(AnchorError, match="no member"):
        chain.contract.anchor(
            chain.key, what, [sign_checkpoint(key, what, elsewhere) for key in MEMBERS[:3]]
        )
    chain.contract.anchor(chain.key, what, good)  # control


@pytest.mark.parametrize(("members", "k"), [(4, 2), (3, 4), (1, 0), (0, 0)])
def test_a_minority_cannot_be_a_quorum(chain, members, k):
    with pytest.raises(AnchorError):
        deploy(chain, chain.key, [address(key) for key in MEMBERS[:members]], k)


def test_a_member_counts_once(chain):
    with pytest.raises(AnchorError, match="rising order"):
        deploy(chain, chain.key, [address(MEMBERS[0])] * 2, 2)


def test_gas_stays_small(chain):
    done = anchor(chain, 5)
    block = chain.eth.get_block(done.block)
    assert block["gasUsed"] < 200_000


@given(st.text(max_size=140))
def test_signature_text_is_parsed_or_refused(text):
    try:
        found = MemberSignature.from_hex(text)
    except FormatError:
        return
    assert len(found.to_hex()) == 130


def test_signature_text_round_trip():
    what = checkpoint(3)
    domain = Domain(1, address(MEMBERS[0]))
    one = sign_checkpoint(MEMBERS[0], what, domain)
    assert MemberSignature.from_hex(one.to_hex()) == one
    assert signer_of(one, what, domain) == address(MEMBERS[0])
    with pytest.raises(FormatError, match="not a signature"):
        signer_of(MemberSignature(27, 0, 0), what, domain)


class Source:
    """A log that shows some leaves, cosigned."""

    def __init__(self, hashes):
        self.hashes = hashes

    def checkpoint(self):
        text = format_checkpoint(checkpoint(len(self.hashes), self.hashes))
        note = sign_note(text, [SIGNER])
        cosigned = [one.cosign(text, START // 1000) for one in WITNESSES]
        return format_note(Note(text, (*note.signatures, *cosigned))).decode()

    def consistency(self, old, new):
        return consistency_proof(old, self.hashes[:new])


def test_audit_against_the_anchors(chain):
    report = audit_anchors(Source(HASHES[:9]), TRUST, chain.contract)
    assert (report.ok, report.anchors) == (False, 0)  # nothing anchored is nothing shown
    anchor(chain, 5)
    anchor(chain, 9)
    for size in (9, 40):
        report = audit_anchors(Source(HASHES[:size]), TRUST, chain.contract)
        assert (report.ok, report.anchors, report.newest) == (True, 2, 9)
    assert json.loads(json.dumps(report.to_json()))["ok"] is True


def test_audit_finds_a_changed_past_though_every_witness_helped(chain):
    anchor(chain, 5)
    anchor(chain, 9)
    changed = [*HASHES[:7], leaf_hash(b"another"), *HASHES[8:]]
    report = audit_anchors(Source(changed), TRUST, chain.contract)
    assert [size for size, _ in report.problems] == [9]
    assert "changed its past" in report.problems[0][1]
    report = audit_anchors(Source(HASHES[:6]), TRUST, chain.contract)
    assert [size for size, _ in report.problems] == [9]
    assert "went back" in report.problems[0][1]


def test_command_line(chain, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli, "Web3", lambda provider: chain)
    (tmp_path / "trust.json").write_bytes(TRUST.format())
    (tmp_path / "pay").write_text(chain.key)
    for i, key in enumerate(MEMBERS):
        (tmp_path / f"member{i}").write_text(key)
    (tmp_path / "note").write_text(Source(HASHES[:9]).checkpoint())
    members = [part for key in MEMBERS for part in ("--member", address(key))]

    def run(command, *args):
        usual = ["--rpc", "http://127.0.0.1:1", "--trust", str(tmp_path / "trust.json")]
        code = cli.main([command, *usual, *args])
        out = capsys.readouterr()
        return code, json.loads(out.out) if code != 2 else out.err

    code, made = run("deploy", "--key", str(tmp_path / "pay"), "--k", "3", *members)
    assert code == 0
    at = ["--contract", made["contract"], "--note", str(tmp_path / "note")]
    given = []
    for i in range(2):
        code, one = run("sign", *at, "--member-key", str(tmp_path / f"member{i}"))
        given += ["--signature", one["signature"]]
    code, error = run("post", *at, "--key", str(tmp_path / "pay"), *given)
    assert code == 2
    assert "too few" in error
    given += ["--member-key", str(tmp_path / "member4")]
    code, done = run("post", *at, "--key", str(tmp_path / "pay"), *given)
    assert (code, done["anchored"], done["size"]) == (0, True, 9)
    code, done = run("post", *at, "--key", str(tmp_path / "pay"), *given)
    assert (code, done["anchored"]) == (0, False)
    code, error = run("post", "--contract", made["contract"])  # no log answers there
    assert code == 2


def test_omic_audit_ledger_compares_the_log_with_its_anchors(chain, tmp_path, monkeypatch, capsys):
    """The whole command: leaves from a directory of tiles, anchors from the chain."""
    from ledger.tile_directory import TileDirectory
    from marketplace.client import cli as omic
    from tests.ledger.ledger_scenes import Scene
    from tests.ledger.test_tile_directory import write

    scene = Scene()
    scene.put("grant")
    directory = write(scene, tmp_path / "copy")
    hashes = [leaf_hash(leaf) for leaf in scene.leaves]
    (tmp_path / "trust.json").write_bytes(TRUST.format())
    monkeypatch.setattr("web3.Web3", lambda provider: chain)
    monkeypatch.setattr("web3.HTTPProvider", lambda url: None)

    def audit():
        where = ["--trust", tmp_path / "trust.json", "--tiles", directory]
        where += ["--anchors", "http://127.0.0.1:1", "--contract", chain.contract.domain.contract]
        monkeypatch.setattr("sys.argv", ["omic", "--json", "audit", "ledger", *map(str, where)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            omic.main()
        return ended.value.code, json.loads(capsys.readouterr().out)["anchors"]

    assert audit()[0] == 1  # nothing anchored is nothing shown
    anchor(chain, 2, hashes=hashes)
    assert audit() == (0, {**audit()[1], "ok": True, "anchors": 1, "newest": 2})
    # A log that every witness helped to change: only the chain tells.
    anchor(chain, 4, hashes=[*hashes[:3], leaf_hash(b"another past")])
    assert TileDirectory(directory).checkpoint()
    code, anchors = audit()
    assert (code, [one["size"] for one in anchors["problems"]]) == (1, [4])
