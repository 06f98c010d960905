"""Figures as a journal's referee reads them: units, n, thresholds and bands told; nothing over
another; hidden cells not drawn as zeros; colours told apart by everybody."""

import io
import itertools
import os
import re
import struct
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from compute import made_up_answer
from compute.queries import catalogue, parse_query
from ledger import unb64
from marketplace.client.examples import example, filled
from marketplace.keyorigin.bundle import STYLES
from marketplace.web.dry_run_form import FAMILIES
from tests.marketplace.keyorigin.conftest import CHROMIUM

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here"),
]
NAMED_ONLY = {"top_association", "top_counts"}
ROWS = 400

DRAWN = """
const { plotsOf } = await import('/plots.js');
const place = document.createElement('div');
place.style.width = '440px';
document.body.append(place);
const inside = (box, all) => box.left >= all.left - 1 && box.right <= all.right + 1 && box.top >= all.top - 1 && box.bottom <= all.bottom + 1;
const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
const made = plotsOf(x).map(({ name, note, root }) => {
  const figure = document.createElement('figure');
  figure.className = 'plot';
  figure.style.cssText = 'min-width:440px;max-width:440px;padding:0;border:0';
  figure.append(root);
  place.append(figure);
  const texts = [...root.querySelectorAll('text')];
  const boxes = texts.map((one) => one.getBoundingClientRect());
  const whole = root.getBoundingClientRect();
  const wrong = [];
  boxes.forEach((box, i) => {
    if (!inside(box, whole)) wrong.push(`${texts[i].textContent} leaves the figure`);
    boxes.slice(0, i).forEach((other, j) => { if (over(box, other)) wrong.push(`${texts[i].textContent} lies over ${texts[j].textContent}`); });
  });
  return { name, note, wrong, said: texts.map((one) => one.textContent), marks: Object.fromEntries(['bar', 'band', 'dot', 'curve', 'line', 'error', 'whisker'].map((kind) => [kind, root.querySelectorAll(`.${kind}`).length])) };
});
place.remove();
return made;
"""


def asked(family, **changes):
    query = filled(example(family))["query"]
    query["params"].update(changes)
    return query


def answered(query, rho=None):
    parsed = parse_query(query)
    columns = {name: values[:ROWS] for name, values in made_up_answer(parsed, rho).items()}
    shown = {"family": parsed.family, "build": parsed.build, "params": query["params"]}
    return {"columns": columns, "query": shown}


def hide(answer, rows, keep=()):
    for name, values in answer["columns"].items():
        if name not in keep:
            for at in rows:
                values[at] = None
    return answer


def figures(js, answer):
    made = js("match", DRAWN, answer)
    assert [wrong for one in made for wrong in one["wrong"]] == []
    return {one["name"]: one for one in made}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_familys_figures_say_how_many_and_no_label_lies_over_another(js, family):
    rho = None if "trusted" in catalogue()[family].modes else Fraction(1, 20)
    made = figures(js, answered(asked(family), rho))
    assert bool(made) is (family not in NAMED_ONLY)
    for one in made.values():
        assert re.search(r"n = \d|\d (people|variants|alleles)", " ".join(one["said"])), one["said"]


def test_an_association_has_its_threshold_its_band_and_its_inflation(js):
    answer = answered(asked("linear_association"))
    made = figures(js, answer)
    p = [v for v in answer["columns"]["p"] if v is not None]
    inflation = stats.chi2.isf(np.median(p), 1) / stats.chi2.ppf(0.5, 1)
    assert f"λ = {inflation:.2f}" in made["qq"]["said"][1]
    assert made["qq"]["marks"]["band"] == 1
    assert "P = 5 × 10⁻⁸" in made["manhattan"]["said"]
    assert "Position on chromosome 22 (Mb, GRCh37)" in made["manhattan"]["said"]
    assert "winner's curse" in made["regression"]["note"]


def test_a_whole_genome_is_drawn_in_order_and_coinciding_marks_once(js):
    contig = ["10", "2", "X", "1"]
    count = 20_000
    columns = {
        "contig": [contig[at % 4] for at in range(count)], "pos": [1000 + at for at in range(count)],
        "ref": ["A"] * count, "alt": ["G"] * count, "p": [(at + 1) / count for at in range(count)],
        "beta": [0.1] * count, "se": [0.1] * count, "n": [500] * count,
    }  # fmt: skip
    columns["p"][7], columns["p"][8] = 0.0, None
    made = figures(js, {"columns": columns, "query": {"family": "linear_association"}})
    said = made["manhattan"]["said"]
    places = [said.index(name) for name in ("1", "2", "10", "X")]
    assert places == sorted(places)
    assert "19,999 variants, n = 500; 1 not shown" in said
    assert 0 < made["manhattan"]["marks"]["dot"] < count
    assert any(text in said for text in ("100", "200", "300"))  # a P stored as 0 stands at the top


def test_hidden_cells_are_told_and_never_drawn_as_zeros(js):
    counts = answered(asked("clinical_counts"))
    before = figures(js, counts)["prevalence"]["marks"]["bar"]
    after = figures(js, hide(counts, [1], ("stratum", "term")))["prevalence"]
    assert "hidden" in after["said"]
    assert after["marks"]["bar"] == before - 1
    boxes = figures(js, hide(answered(asked("cohort_quality")), range(6), ("stratum", "metric")))
    assert "hidden" in boxes["box-call_rate"]["said"]
    pairs = figures(js, hide(answered(asked("relatedness")), [1], ("degree", "n")))["relatedness"]
    assert "hidden" in pairs["said"] and pairs["marks"]["bar"] == 3
    rows = answered(asked("feature_by_genotype"))
    genotypes = figures(js, hide(rows, [2], ("genotype", "dosage", "fit")))["genotypes"]
    assert "hidden" in genotypes["said"]
    linked = figures(js, hide(answered(asked("linkage")), [3], ("variant_a", "variant_b")))
    assert "1 pairs hidden" in linked["linkage"]["said"][1]


def test_frequencies_are_compared_by_variant_not_by_row(js):
    columns = {
        "stratum": ["A", "A", "A", "B", "B"], "contig": ["1"] * 5, "pos": [1, 2, 3, 3, 2],
        "ref": ["A"] * 5, "alt": ["G"] * 5, "an": [40] * 5, "af": [0.1, 0.2, 0.3, 0.3, None],
    }  # fmt: skip
    made = figures(js, {"columns": columns})["frequencies-A-B"]
    assert made["said"][1] == "1 variants; 1 hidden"
    assert made["marks"]["dot"] == 1


def test_a_measured_value_has_its_unit_and_scale_on_the_axis(js):
    features = [f"ENSG{at:011d}" for at in range(1, 31)]
    volcano = figures(js, answered(asked("feature_differential", features=features)))["volcano"]
    assert "Difference of means, CEU − YRI (log2(TPM + 1))" in volcano["said"]
    box = figures(js, answered(asked("feature_summary")))["box-ENSG00000189339"]
    assert "ENSG00000189339 (TPM)" in box["said"]
    few = figures(js, answered(asked("feature_differential")))["effects"]
    assert few["marks"]["whisker"] == 1


@pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 120), (60, 120), (120, 120), (3, 500_000)])
def test_the_bands_of_expected_p_are_those_of_order_statistics(js, k, n):
    code = "const { orderQuantile } = await import('/numbers.js'); return [0.025, 0.975].map((s) => orderQuantile(s, x.k, x.n))"
    found = js("match", code, {"k": k, "n": n})
    assert found == pytest.approx(stats.beta.ppf([0.025, 0.975], k, n + 1 - k), rel=1e-6)


def test_a_saved_picture_has_its_size_its_density_and_its_caption(js):
    code = """
    const { plotsOf, png, standalone } = await import('/plots.js');
    const [{ root, note }] = plotsOf(x);
    return { svg: standalone(root, note), png: b.b64(new Uint8Array(await (await png(root, note)).arrayBuffer())) };
    """
    made = js("match", code, answered(asked("linear_association")))
    assert 'width="88mm"' in made["svg"] and "<desc>Dashed: genome-wide" in made["svg"]
    assert 'font-weight="600"' in made["svg"]
    data = unb64(made["png"])
    at = data.index(b"pHYs")
    assert struct.unpack(">II", data[at + 4 : at + 12]) == (23622, 23622)
    assert struct.unpack(">I", data[16:20]) == (round(88 / 25.4 * 600),)
    Image.open(io.BytesIO(data)).verify()  # also the checksum of what was put in


# How people without one kind of cones see colours (Machado, Oliveira and Fernandes 2009, severity 1).
SIGHT = {
    "all": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour):
    shares = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def lab(light):
    xyz = TO_XYZ @ np.clip(light, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one, other):
    bright = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (one, other))
    return (bright[1] + 0.05) / (bright[0] + 0.05)


def test_everybody_tells_the_colours_of_two_series_apart():
    sheet = (STYLES / "omic.css").read_text()
    light, dark = (re.findall(r"--s\d: (#[0-9a-f]{6})", line)
                   for line in re.findall(r"[^\n]*--s0:[^\n]*", sheet))  # fmt: skip
    in_files = re.search(r"const SERIES = \[(.*?)\]", (STYLES / "axes.js").read_text())[1]
    assert re.findall(r"#[0-9a-f]{6}", in_files) == light
    for series, paper in ((light, "#ffffff"), (dark, "#1a2120")):
        assert all(contrast(colour, paper) >= 3 for colour in series)
        for one, other in itertools.combinations(series, 2):
            for name, sight in SIGHT.items():
                apart = lab(np.array(sight) @ linear(one)) - lab(np.array(sight) @ linear(other))
                assert np.linalg.norm(apart) > 20, (one, other, name)
