"""The browser's formats against the Python ones: whatever either writes, the other must read.

Canonical JSON, DSSE entries, leaves, Merkle proofs, checkpoints, Crypt4GH, HPKE, terms, vaults.
"""

import io
import json
import os
import random
from pathlib import Path

import pytest
from crypt4gh.lib import decrypt as crypt4gh_decrypt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compute import PRESETS, describe, parse_terms, preset, terms_sha256
from compute.crypt import (
    decrypt_file,
    encrypt_file,
    generate_keypair,
    grant_info,
    hpke,
    make_header_packet,
    open_grant,
    read_header,
    session_key,
)
from compute.errors import CryptError
from ledger import (
    Checkpoint,
    LogProof,
    b64,
    canonical,
    consistency_proof,
    entry_bytes,
    fingerprint,
    format_leaf,
    format_proof,
    inclusion_proof,
    leaf_hash,
    make_entry,
    make_leaf,
    parse_entry_bytes,
    public_key,
    sign_ed25519,
    submission_from_json,
    tree_root,
    unb64,
    validate_payload,
    verify_signatures,
)
from ledger.checkpoint import format_checkpoint
from ledger.cosignature import Ed25519Cosigner
from ledger.errors import FormatError
from ledger.note import Ed25519Signer, Note, format_note, format_vkey, sign_note
from marketplace.client.passport import Region, cut_vcf
from tests.compute.ingest.vcf_text import vcf
from tests.marketplace.keyorigin.conftest import CHROMIUM

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here"),
]
VECTORS = Path(__file__).parents[2] / "vectors" / "ledger" / "merkle"
FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
WHOLE = st.integers(-(2**53) + 1, 2**53 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | WHOLE | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@FEW
@given(st.lists(JSON, min_size=20, max_size=20))
def test_canonical_json_is_byte_for_byte_the_same(js, values):
    made = js("canonical", "return x.map((v) => b.b64(m.canonical(v)))", values)
    assert [unb64(text) for text in made] == [canonical(value) for value in values]


@pytest.mark.parametrize("text", ["1.5", "9007199254740992", '"\\ud800"'])
def test_what_has_no_exact_form_is_refused_by_both(js, text):
    refused = js(
        "canonical", "try { m.canonical(JSON.parse(x)); return false } catch { return true }", text
    )
    assert refused
    with pytest.raises(FormatError):
        canonical(json.loads(text))


ENTRY = """
const noble = await import('/vendor/noble.js');
const seed = b.unb64(x.seed);
const signer = { kind: 'ed25519', publicKey: noble.ed25519.getPublicKey(seed), sign: async (p) => [noble.ed25519.sign(p, seed)] };
const entry = await m.makeEntry(x.type, x.fields, signer, x.time);
const one = m.submission(entry);
return { submission: m.submissionJson(one), bytes: b.b64(m.entryBytes(entry)), leaf: b.b64(await m.leafBytes(one, x.time + 5)) };
"""


@pytest.mark.parametrize(
    ("type_", "fields"),
    [
        ("consent.withdrawn", {"grant": "a" * 32, "dataset": "b" * 32, "owner": "c" * 32, "stops": [7]}),
        ("dataset.erased", {"dataset": "b" * 32, "owner": "c" * 32, "stops": [3], "erases": [1, 2, 3]}),
        ("consent.resumed", {"grant": "a" * 32, "dataset": "b" * 32, "owner": "c" * 32, "resumes": [9]}),
    ],
)  # fmt: skip
def test_an_entry_and_its_leaf_are_what_the_ledger_makes(js, type_, fields):
    seed = os.urandom(32)
    made = js("entry", ENTRY, {"seed": b64(seed), "type": type_, "fields": fields, "time": 1_000})
    submission = submission_from_json(made["submission"])
    validate_payload(submission.entry)
    verify_signatures(submission.entry, None)
    assert entry_bytes(submission.entry) == unb64(made["bytes"])
    assert format_leaf(make_leaf(submission.entry, submission.salt, 1_005)) == unb64(made["leaf"])
    again = make_entry(type_, submission.entry.payload, [sign_ed25519(seed)])
    assert entry_bytes(again) == unb64(made["bytes"])


def test_entry_bytes_of_the_ledger_are_read(js):
    seed = os.urandom(32)
    fields = {"id": "1" * 32, "time": 5, "digest": "0" * 64}
    entry = make_entry("web.released", fields, [sign_ed25519(seed)])
    read = js(
        "entry",
        "const e = m.parseEntryBytes(b.unb64(x)); return [e.type, e.payload, e.signatures.length, await m.fingerprint(e.signatures[0].publicKey)]",
        b64(entry_bytes(entry)),
    )
    assert read == ["web.released", entry.payload, 1, fingerprint(public_key(seed))]


PROOF = """
try { const found = await m.verifyProof(await m.parsePolicy(x.policy), b.unb64(x.leaf), x.proof);
  return [found.index, found.checkpoint.size, found.checkpoint.witnesses.length]; } catch (e) { return e.message }
"""


class SmallLog:
    """A signed, cosigned log of random leaves."""

    def __init__(self, size):
        self.leaves = [os.urandom(20) for _ in range(size)]
        self.signer = Ed25519Signer("localhost/test", os.urandom(32))
        self.witnesses = [Ed25519Cosigner(f"w{i}", os.urandom(32)) for i in range(3)]
        lines = [f"log {format_vkey(self.signer.vkey)}"]
        lines += [f"witness w{i} {format_vkey(w.vkey)}" for i, w in enumerate(self.witnesses)]
        self.policy = "\n".join([*lines, "group all 2 w0 w1 w2", "quorum all", ""])

    def note(self, awake=(0, 1, 2), root=None):
        root = root or tree_root(map(leaf_hash, self.leaves))
        text = format_checkpoint(Checkpoint("localhost/test", len(self.leaves), root))
        note = sign_note(text, [self.signer])
        signed = [self.witnesses[i].cosign(note.text, 1000 + i) for i in awake]
        return format_note(Note(note.text, (*note.signatures, *signed)))

    def proof(self, index, **more):
        path = tuple(inclusion_proof(index, list(map(leaf_hash, self.leaves))))
        return format_proof(LogProof(index, path, self.note(**more))).decode()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 33])
def test_inclusion_is_proved_for_every_leaf(js, size):
    log = SmallLog(size)
    for index in range(size):
        asked = {"policy": log.policy, "leaf": b64(log.leaves[index]), "proof": log.proof(index)}
        assert js("note", PROOF, asked) == [index, size, 3]


def test_false_proofs_are_refused(js):
    log = SmallLog(9)
    good = {"policy": log.policy, "leaf": b64(log.leaves[4]), "proof": log.proof(4)}
    other = SmallLog(9)
    wrong = [
        {**good, "leaf": b64(log.leaves[5])},
        {**good, "proof": log.proof(4, awake=(2,))},
        {**good, "proof": log.proof(4, root=os.urandom(32))},
        {**good, "policy": other.policy},
        {**good, "proof": log.proof(4).replace("index 4", "index 3")},
        {**good, "proof": "\n".join(log.proof(4).split("\n")[:2] + log.proof(4).split("\n")[3:])},
    ]
    assert js("note", PROOF, good) == [4, 9, 3]
    for asked in wrong:
        assert isinstance(js("note", PROOF, asked), str), asked["proof"][:80]


CONSISTENT = """
const raw = (t) => b.unb64(t ?? '');
const answers = {};
for (const [name, c] of Object.entries(x)) {
  try { await m.verifyConsistency(c.size1 ?? 0, c.size2 ?? 0, (c.proof ?? []).map(raw), raw(c.root1), raw(c.root2)); answers[name] = false }
  catch { answers[name] = true }
}
return answers;
"""


def test_every_published_consistency_vector_passes_or_fails_as_it_must(js):
    cases = json.loads((VECTORS / "consistency.json").read_text())
    assert js("merkle", CONSISTENT, cases) == {
        name: bool(case.get("wantErr")) for name, case in cases.items()
    }


def test_growth_is_proved_between_any_two_sizes_and_a_changed_past_is_named(js):
    body = """
    const changed = async (before, now, path) => {
      try { await m.requireGrowth(before, { ...now, root: b.unhex(now.root) }, async () => path.map(b.unhex)); return null }
      catch (e) { return [e instanceof m.ChangedPast, e.message] }
    };
    return Promise.all(x.map(([before, now, path]) => changed(before, now, path)));
    """
    hashes = [leaf_hash(b"%d" % at) for at in range(20)]

    def tree(size, other=None):
        found = [*hashes[:size]] if other is None else [leaf_hash(other), *hashes[1:size]]
        return {"size": size, "root": tree_root(found).hex()}

    def path(old, new):
        return [one.hex() for one in consistency_proof(old, hashes[:new])] if 0 < old < new else []

    pairs = [(old, new) for new in range(21) for old in range(new + 1)]
    grown = [[tree(old), tree(new), path(old, new)] for old, new in pairs]
    assert js("seen", body, grown) == [None] * len(grown)
    bent = [
        [tree(9), tree(8), []],
        [tree(9, b"x"), tree(9), []],
        [tree(9, b"x"), tree(17), path(9, 17)],
        [tree(9), tree(17), path(9, 17)[:-1]],
        [tree(9), tree(17), []],
    ]
    for loud, said in js("seen", body, bent):
        assert loud
        assert said.startswith("your ledger changed its past: ")


ENCRYPT = """
const [key, nonceOf] = [b.random(32), null];
const cipher = await m.blockCipher(key, x.native);
const out = await m.encryptBlocks(cipher, await m.nonceMaker(key), b.unb64(x.plain), 0);
return { file: b.b64(b.concat(m.makeHeader(key, b.unb64(x.reader)), out)), native: cipher.native };
"""


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("native", [True, False])
def test_crypt4gh_files_open_with_the_crypt4gh_package_and_with_ours(js, size, native):
    plain = random.Random(size).randbytes(size)
    secret, public = generate_keypair()
    made = js("crypt4gh", ENCRYPT, {"plain": b64(plain), "reader": b64(public), "native": native})
    assert decrypt_file(unb64(made["file"]), secret) == plain
    out = io.BytesIO()
    crypt4gh_decrypt([(0, secret, None)], io.BytesIO(unb64(made["file"])), out)
    assert out.getvalue() == plain


def test_crypt4gh_files_of_python_open_in_the_browser(js):
    secret, public = generate_keypair()
    plain = os.urandom(140_000)
    body = "return b.b64(await m.decryptFile(b.unb64(x.file), b.unb64(x.secret)))"
    made = js("crypt4gh", body, {"file": b64(encrypt_file(plain, public)), "secret": b64(secret)})
    assert unb64(made) == plain


def test_the_same_file_encrypts_to_the_same_bytes_and_another_never_meets_its_nonces(js):
    body = """
    const key = b.unb64(x.key); const cipher = await m.blockCipher(key); const n = await m.nonceMaker(key);
    const enc = async (t) => b.b64(await m.encryptBlocks(cipher, n, b.unb64(t), 0));
    return [await enc(x.one), await enc(x.one), await enc(x.two)];
    """
    one = bytes(130_000)
    two = b"\1" + one[1:]
    a, again, other = js(
        "crypt4gh", body, {"key": b64(os.urandom(32)), "one": b64(one), "two": b64(two)}
    )
    assert a == again
    assert unb64(a)[:12] != unb64(other)[:12]


GRANT = """
const c = await import('/js/crypt4gh.js');
const packet = c.reencryptHeader(b.unb64(x.header), b.unb64(x.owner), b.unb64(x.reader));
const info = await m.grantInfo(x.names[0], x.names[1], x.names[2], x.terms);
return [b.b64(info), b.b64(await m.sealGrant(packet, b.unb64(x.activity), b.unb64(x.hpke), info))];
"""


def test_a_grant_made_in_the_browser_opens_in_the_vault_under_its_terms_only(js):
    owner, owner_public = generate_keypair()
    reader, reader_public = generate_keypair()
    secret, public = hpke.generate_keypair()
    data_key, activity = os.urandom(32), os.urandom(32)
    terms = preset("everything_at_a_price", valid_from=5, price=200).to_dict()
    names = ("1" * 32, "2" * 32, "3" * 32)
    info, sealed = js("hpke", GRANT, {
        "header": b64(make_header_packet(data_key, owner_public)), "owner": b64(owner),
        "reader": b64(reader_public), "names": names, "terms": terms,
        "activity": b64(activity), "hpke": b64(public),
    })  # fmt: skip
    assert unb64(info) == grant_info(*names, terms)
    opened = open_grant(unb64(sealed), secret, unb64(info))
    assert opened.activity_key == activity
    assert session_key(read_header(opened.header), reader) == data_key
    changed = grant_info(*names, {**terms, "valid_from": 6})
    with pytest.raises(CryptError):
        open_grant(unb64(sealed), secret, changed)


def test_hpke_of_python_opens_in_the_browser(js):
    secret, public = hpke.generate_keypair()
    body = "return b.fromUtf8(await m.unseal(b.unb64(x[0]), b.unb64(x[1]), b.utf8('info')))"
    assert js("hpke", body, [b64(hpke.seal(b"hello", public, b"info")), b64(secret)]) == "hello"


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("mode", ["private", "trusted"])
def test_terms_are_the_presets_and_said_in_the_same_words(js, name, mode):
    options = {"now": 77, "diseases": ["MONDO:0004979"], "price": 350, "mode": mode}
    terms, lines, digest = js(
        "terms",
        "const t = await m.fromPreset(x[0], x[1]); return [t, await m.describe(t), await m.sha256OfTerms(t)]",
        [name, options],
    )
    more = {"diseases": ["MONDO:0004979"]} if name == "my_condition_free" else {}
    more |= {"price": 350} if name == "everything_at_a_price" else {}
    wanted = preset(name, valid_from=77, release_mode=mode, **more)
    assert terms == wanted.to_dict()
    assert lines == describe(wanted)
    assert digest == terms_sha256(wanted)


def detailed() -> dict:
    """Terms that no preset has, with one condition only the command can give."""
    value = preset(
        "everything_at_a_price", valid_from=7, price=50, release_mode="trusted"
    ).to_dict()
    value |= {"permissions": ["DUO:0000006", "DUO:0000007"], "diseases": ["MONDO:0004979"]}
    value["modifiers"] = [
        {"id": "DUO:0000028", "parameters": {"institutions": ["A University"]}},
        {"id": "DUO:0000018", "parameters": {}}, {"id": "DUO:0000027", "parameters": {}},
        {"id": "DUO:0000043", "parameters": {}},
    ]  # fmt: skip
    value["flags"] |= {"no_employers": False}
    value["prices"] = {"non_profit_research": 0, "commercial_research": 1250, "methods": "never",
                       "clinical_care": 5}  # fmt: skip
    value |= {"query_families": ["linkage"], "regions": ["eu", "uk"], "valid_until": 2**40}
    release = {"lifetime_rho": "1/7", "order_share": "1/3", "exact_statistics": 12}
    return {**value, "release": {**value["release"], **release}}


@pytest.mark.parametrize("name", [*PRESETS, "detailed"])
def test_the_form_of_every_detail_says_terms_as_they_are(js, name):
    """What it was filled with is what it reads, so that nothing is decided unseen."""
    more = {
        "my_condition_free": {"diseases": ["MONDO:0004979"]},
        "everything_at_a_price": {"price": 350},
    }
    terms = detailed() if name == "detailed" else preset(
        name, valid_from=77, release_mode="private", **more.get(name, {})).to_dict()  # fmt: skip
    body = "const f = await m.adjuster(); f.fill(x); return [f.read(x), await (await import('/js/terms.js')).describe(x)]"
    read, said = js("views/adjust", body, terms)
    assert parse_terms(read) == parse_terms(terms)
    assert said == describe(parse_terms(terms))


TICKED = """
const f = await m.adjuster(); f.fill(x); document.body.append(f.element);
const at = (id) => document.getElementById(id);
const put = (id, value) => { at(id).value = value; at(id).dispatchEvent(new Event("change", { bubbles: true })); };
const tick = (id, on = true) => { at(id).checked = on; at(id).dispatchEvent(new Event("change", { bubbles: true })); };
const wrong = (act) => { try { act(); return null; } catch (error) { return error.message; } };
const said = [];
tick("adj-use-DUO-0000042", false);
said.push(wrong(() => f.read(x)));
tick("adj-use-DUO-0000007");
said.push(wrong(() => f.read(x)));
tick("adj-disease-MONDO-0004979"); tick("adj-disease-MONDO-0004975");
tick("adj-only-DUO-0000027"); tick("adj-only-DUO-0000046", false); tick("adj-flag-no_insurers", false);
put("adj-price-commercial_research", "price");
said.push(wrong(() => f.read(x)));
put("adj-amount-commercial_research", "2.50"); put("adj-price-methods", "never");
put("adj-family", ""); said.push(wrong(() => f.read(x))); tick("adj-family-linkage");
put("adj-until", "2031-02-03"); put("adj-region", "local"); put("adj-budget", "1/50"); put("adj-share", "1");
const made = f.read(x);
f.element.remove();
return [said, made];
"""


def test_every_detail_can_be_decided_and_what_is_missing_is_said(js):
    start = preset("non_profit_research", valid_from=5).to_dict()
    said, made = js("views/adjust", TICKED, start)
    words = ("at least one use", "at least one condition", "what a use costs", "kind of question")
    assert all(word in text for word, text in zip(words, said, strict=True))
    terms = parse_terms(made)
    assert terms.permissions == ("DUO:0000007",)
    assert set(terms.diseases) == {"MONDO:0004979", "MONDO:0004975"}
    assert {one.id for one in terms.modifiers} == {"DUO:0000045", "DUO:0000027"}
    assert (terms.flags.no_insurers, terms.flags.no_employers) == (False, True)
    assert terms.prices == {"non_profit_research": 0, "commercial_research": 250, "methods": "never",
                            "clinical_care": "never"}  # fmt: skip
    assert (terms.query_families, terms.regions) == (("linkage",), ("local",))
    assert (terms.release.lifetime_rho, terms.release.order_share) == ("1/50", "1")
    assert terms.valid_until == 1_927_929_599_000


def test_a_public_entry_in_a_leaf_is_parsed_back():
    entry = make_entry(
        "web.released", {"id": "1" * 32, "time": 5, "digest": "0" * 64}, [sign_ed25519(bytes(32))]
    )
    assert parse_entry_bytes(entry_bytes(entry)) == entry


CUT = """
const packed = async (bytes) => new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"))).blob();
const bytes = b.unb64(x.file);
const cut = async (blob) => { try { return b.b64(await m.cutVcf(blob, m.parseRegion(x.region))); } catch (error) { return error.message; } };
return Promise.all([cut(new Blob([bytes])), cut(await packed(bytes))]);
"""


@pytest.mark.parametrize("region", ["1:100-200", "chr1:1,000-2,000", "1:150-150", "X:1-9999"])
def test_a_part_of_a_vcf_is_what_the_command_cuts(js, region):
    records = [("1", 100 + 50 * i, "A", "G", "0/1") for i in range(40)]
    meta = ("##source=/home/ann/private", "##omic_callability=all-sites", "##reference=GRCh37")
    file = vcf(*records, ("X", 20, "C", "T", "1/1"), meta=meta)
    wanted = cut_vcf(file, Region.parse(region))
    assert js("cut", CUT, {"file": b64(file), "region": region}) == [b64(wanted)] * 2
    assert b"private" not in wanted


def test_what_cannot_be_cut_is_refused(js):
    file = b64(vcf(("1", 100, "A", "G", "0/1")))
    asked = ({"file": file, "region": "2:1-9"}, {"file": b64(b"# 23andMe"), "region": "1:1-9"},
             {"file": file, "region": "1:9-1"})  # fmt: skip
    said = [js("cut", CUT, one)[0] for one in asked]
    wanted = ("nothing in the file lies there", "only a VCF can be cut", "write the part as")
    assert [part in text for part, text in zip(wanted, said, strict=True)] == [True] * 3, said


TABS = """
const vault = (documents) => ({ wraps: [{ kind: 'code' }], content: { documents, keys: {} } });
const opened = (text) => { const v = JSON.parse(text); return [v, m.picture(v)]; };
const save = ([v, before]) => { m.stamp(v, before); return JSON.stringify(v); };
const first = vault({ 'grants/g.json': { state: 'live' }, 'uploads/u.json': {}, 'passkeys.json': { keys: [{ credential: 'a' }] } });
m.stamp(first, new Map());
const start = JSON.stringify(first);
const [one, two] = [opened(start), opened(start)];
one[0].content.documents['datasets/d.json'] = { dataset: 'd' };
one[0].content.documents['grants/g.json'].state = 'withdrawn';
one[0].content.documents['passkeys.json'].keys.push({ credential: 'b' });
delete one[0].content.documents['uploads/u.json'];
two[0].content.documents['grants/g.json'].state = 'paused';
two[0].content.documents['passkeys.json'].keys.push({ credential: 'c' });
two[0].content.keys.k = 'secret';
two[0].wraps.push({ kind: 'prf', credential: 'c' });
const [left, right] = [save(one), save(two)].map(JSON.parse);
const [a, b2] = [structuredClone(left), structuredClone(right)];
m.takeNewer(a, right);
m.takeNewer(b2, left);
const again = structuredClone(a);
return { same: !m.differ(m.picture(a), m.picture(b2)), content: a.content, ways: a.wraps.length,
  old: m.takeNewer(again, JSON.parse(start)), kept: !m.differ(m.picture(again), m.picture(a)),
  plain: m.takeNewer(vault({ x: 1 }), vault({ y: 2 })), stopped: later() };
function later() {
  const told = vault({ 'grants/g.json': { grant: 'g', index: 5, state: 'paused', stop: 9 } });
  const counted = vault({ 'grants/g.json': { grant: 'g', index: 5, state: 'live' } });
  m.stamp(counted, new Map());
  m.takeNewer(told, counted);
  return told.content.documents['grants/g.json'].state;
}
"""


def test_two_copies_of_a_vault_become_one_and_an_older_one_changes_nothing(js):
    """Whichever takes in the other; an end stays an end, and what was removed stays away."""
    found = js("sync", TABS)
    documents = found["content"]["documents"]
    assert found["stopped"] == "paused"  # by the omic command, which counts no saves
    assert (found["same"], found["old"], found["kept"], found["plain"]) == (True, False, True, True)
    assert documents["grants/g.json"] == {"state": "withdrawn"}
    assert documents["datasets/d.json"] == {"dataset": "d"}
    assert {one["credential"] for one in documents["passkeys.json"]["keys"]} == {"a", "b", "c"}
    assert "uploads/u.json" not in documents
    assert (found["content"]["keys"], found["ways"]) == ({"k": "secret"}, 2)
