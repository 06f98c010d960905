"""What a browser makes of an answer: Parquet that Arrow reads, a file only a co-author opens."""

import io
import os

import pyarrow.parquet as pq
import pytest

from compute.crypt import decrypt_file, generate_keypair
from ledger import b64, unb64
from tests.marketplace.keyorigin.conftest import CHROMIUM

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here"),
]
COLUMNS = {
    "contig": ["22", "X", None], "pos": [17_000_000, 1, 2], "af": [0.25, None, 1],
    "n": [10**12, 5, 6], "na": ["", "low count", "ü"], "nothing": [None, None, None],
}  # fmt: skip


def test_arrow_reads_the_parquet_a_browser_wrote(js):
    made = js("researcher", "return b.b64(new Uint8Array(await m.parquet(x)))", COLUMNS)
    table = pq.read_table(io.BytesIO(unb64(made)))
    assert table.to_pydict() == COLUMNS
    types = {field.name: str(field.type) for field in table.schema}
    assert types["pos"] == "int32"
    assert types["af"] == types["n"] == "double"


def test_a_shared_answer_opens_for_the_co_author_alone(js):
    secret, public = generate_keypair()
    made = js(
        "researcher",
        "return b.b64(await m.shareWith(m.parseAnswerKey(x), 'o'.repeat(32), {text: '{}', bundle: 'proof'}))",
        f"omic-answers:{b64(public)}",
    )
    assert b'"bundle":"proof"' in decrypt_file(unb64(made), secret)
    said = "try { await m.openShared({keys: {encrypt: x.secret}}, b.unb64(x.file)); return '' } catch (e) { return e.message }"
    stranger, _ = generate_keypair()
    assert "somebody else" in js("researcher", said, {"secret": b64(stranger), "file": made})
    assert js("researcher", said, {"secret": b64(secret), "file": made}) == ""


@pytest.mark.parametrize("text", ["", "omic-answers:AAAA", "ssh-ed25519 AAAA", "omic-answers:%%%"])
def test_what_is_no_co_authors_key_is_refused(js, text):
    said = "try { m.parseAnswerKey(x); return '' } catch (e) { return e.message }"
    assert "not a co-author's key" in js("researcher", said, text)


PLOTS = """
const { plotsOf } = await import('/plots.js');
return plotsOf({ columns: x }).map((one) => one.name);
"""


def association(rows):
    return {
        "contig": ["22"] * rows, "pos": list(range(1, rows + 1)), "ref": ["A"] * rows,
        "alt": ["G"] * rows, "beta": [0.1] * rows, "se": [0.1] * rows,
        "p": [(i + 1) / rows for i in range(rows)],
    }  # fmt: skip


def test_a_handful_of_tests_is_no_distribution_of_p_values(js):
    assert js("match", PLOTS, association(1)) == ["regression"]
    assert js("match", PLOTS, association(40)) == ["manhattan", "qq", "volcano", "regression"]


def test_a_measure_that_is_the_same_for_everybody_is_not_drawn(js):
    names = ["q05", "q25", "q50", "q75", "q95"]
    rows = {"metric": ["covered", "call_rate"], "stratum": ["all", "all"]}
    columns = rows | {name: [1, 0.9 + at / 100] for at, name in enumerate(names)}
    assert js("match", PLOTS, columns) == ["box-call_rate"]
