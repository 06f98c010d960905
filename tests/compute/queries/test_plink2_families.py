"""plink2 itself beside the families: logistic with Firth fallback, score, KING, on real files."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from scipy import stats

from compute.builds import CONTIGS
from compute.queries import CohortData, PersonData, VariantTable, run
from compute.queries.relatedness import king
from tests.compute.cohort import cohort
from tests.compute.queries.test_known_answers import six
from tests.compute.queries.test_known_families import DATA, PANEL, ask, chr21, cineca
from tests.compute.queries.test_plink2_peer import plink2
from tests.compute.spec.slow_genetics import maximise

pytestmark = pytest.mark.peer
__all__ = ["plink2"]
# How far plink2 v2.00a3 may lie off the maximum, in standard errors: plain and penalised fits.
OFF, OFF_FIRTH = 1e-4, 1e-3


def go(tool, folder, *options):
    command = [tool, *options, "--threads", "1", "--out", "o"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)


def table(path):
    lines = path.read_text().splitlines()
    head = lines[0].lstrip("#").split("\t")
    return [dict(zip(head, line.split("\t"), strict=True)) for line in lines[1:]]


def exact_fit(people, trait, covariates, at, firth):
    """(beta, SE) of the dosage where the (modified) score is 0: Newton in double precision."""
    own = [p for p in people if trait in p.covariates and p.dosage[at] >= 0]
    x = [[1.0, *(p.covariates[c] for c in covariates), float(p.dosage[at])] for p in own]
    beta, se = maximise(np.array(x), np.array([p.covariates[trait] for p in own]), firth=firth)
    return beta[-1], se[-1]


def fitted_by_plink2(tool, folder, firth, *options):
    """plink2's rows of a full fit of the phenotype `case`."""
    mode = "firth" if firth == "always" else "firth-fallback"
    go(tool, folder, *options, "--glm", mode, "allow-no-covars", "hide-covar", "omit-ref",
       "cols=+beta,-orbeta")  # fmt: skip
    name = "o.case.glm.firth" if firth == "always" else "o.case.glm.logistic.hybrid"
    return table(folder / name)


def held_to_the_maximum(mine, peers, exact):
    """Ours to 1e-6, plink2's as near as it comes. exact: of a variant's place and the penalty.

    Debian's plink2 v2.00a3 fits in single precision (later ones only where `single-prec-cc` asks for
    it) and stops at a tolerance. Measured, it lies up to 6e-5 of a standard error off the maximum and
    with Firth's penalty 8e-4 (SE 2e-5 and 9e-5 of itself), Newton in numpy's float32 2e-5; ours 2e-10,
    SE 1e-8. Printed digits and the covariates' scale do not make it.
    """
    penalised = 0
    for at, (row, peer) in enumerate(zip(mine, peers, strict=True)):
        assert row["pos"] == int(peer["POS"]) and row["n"] == int(peer["OBS_CT"])
        if peer["BETA"] == "NA" or at % 3:
            assert bool(row["na"]) == (peer["BETA"] == "NA")
            continue
        used = peer.get("FIRTH?", "Y") == "Y"
        assert (row["firth"] == "yes") == used
        penalised += used
        beta, se = exact(at, used)
        assert row["beta"] == pytest.approx(beta, rel=1e-6, abs=1e-6 * se), row
        assert row["se"] == pytest.approx(se, rel=1e-6), row
        assert row["z"] == pytest.approx(beta / se, rel=1e-6, abs=1e-6), row
        assert row["p"] == pytest.approx(2 * stats.norm.sf(abs(beta / se)), rel=2e-6), row
        tight = OFF_FIRTH if used else OFF
        assert float(peer["BETA"]) == pytest.approx(beta, abs=tight * se), (row, peer)
        assert float(peer["SE"]) == pytest.approx(se, rel=tight), (row, peer)
    return penalised


@pytest.mark.parametrize("firth", ["fallback", "always"])
def test_logistic_full_fit(plink2, tmp_path, firth):
    people = chr21()
    rows = ["#IID\tcase"] + [
        f"{p.participant}\t{1 + int(p.covariates['rand_binary'])}"
        for p in people.people if "rand_binary" in p.covariates
    ]  # fmt: skip
    (tmp_path / "p.txt").write_text("\n".join(rows) + "\n")
    vcf = str(DATA / "assoc/chr21.test.vcf.gz")
    peers = fitted_by_plink2(plink2, tmp_path, firth, "--vcf", vcf, "--pheno", "p.txt")
    trait = {"kind": "covariate", "name": "rand_binary"}
    query = ask("logistic_association", **PANEL, trait=trait, test="wald", firth=firth)
    mine = run(query, people).rows()
    assert held_to_the_maximum(
        mine, peers, lambda at, used: exact_fit(people.people, "rand_binary", [], at, used)
    )


@pytest.mark.parametrize("standardised", [False, True])
def test_logistic_full_fit_with_covariates(plink2, bed, tmp_path, standardised):
    """plink2 with its covariates as they are, and scaled: it is as far off either way."""
    names = ["PC1", "PC2", "PC3"]
    demo = cohort()
    people = [replace(p, covariates={**p.covariates, "case": float(p.strata["sex"] == "male")})
              for p in demo.people]  # fmt: skip
    lines = [["#FID", "IID", "case", *names]] + [
        ["0", p.participant, str(1 + int(p.covariates["case"])), *(repr(p.covariates[c]) for c in names)]
        for p in people
    ]  # fmt: skip
    (tmp_path / "p.txt").write_text("\n".join("\t".join(line) for line in lines) + "\n")
    peers = fitted_by_plink2(
        plink2, tmp_path, "fallback", "--bfile", str(bed / "g"), "--pheno", "p.txt", "--pheno-name",
        "case", "--covar", "p.txt", "--covar-name", *names,
        *(["--covar-variance-standardize"] if standardised else []),
    )  # fmt: skip
    query = ask("logistic_association", **PANEL, trait={"kind": "covariate", "name": "case"},
                covariates=names, test="wald")  # fmt: skip
    mine = run(query, CohortData(demo.frame, tuple(people))).rows()
    held_to_the_maximum(mine, peers, lambda at, used: exact_fit(people, "case", names, at, used))


def test_mean_imputed_scores(plink2, tmp_path):
    lines = (DATA / "pgs/PGS001229_22.txt").read_text().splitlines()
    body = [line.split("\t") for line in lines if not line.startswith("#")][1:]
    (tmp_path / "s.txt").write_text("".join(f"{c[1]}:{c[2]}\t{c[3]}\t{c[5]}\n" for c in body))
    go(plink2, tmp_path, "--vcf", str(DATA / "pgs/cineca_synthetic_subset.vcf.gz"), "--set-all-var-ids",
       "@:#", "--score", "s.txt", "1", "2", "3", "cols=scoresums", "ignore-dup-ids")  # fmt: skip
    expected = [float(row["SCORE1_SUM"]) for row in table(tmp_path / "o.sscore")]
    query = ask("polygenic_score", score="a" * 64, palindromic="as_written")
    from compute.queries import learned_frame, start

    partial = start(query, learned_frame(query, cineca()))
    for person in cineca().people:
        partial.add(person)
    mine = partial.summaries().values["all"]["score"]
    assert mine == pytest.approx(expected, rel=1e-5, abs=1e-6)


def on_x(people=120, variants=60):
    """People and variants of X outside PAR: men with one copy, some far from equilibrium."""
    rng = np.random.default_rng(8)
    af = rng.uniform(0.02, 0.98, variants)
    found = []
    for at in range(people):
        man = at % 2 == 0
        shift = np.where(np.arange(variants) % 7 == 0, 0.25 if man else -0.25, 0)
        dosage = rng.binomial(1 if man else 2, np.clip(af + shift, 0.01, 0.99)).astype(np.int8)
        if not man:
            inbred = (np.arange(variants) % 11 == 0) & (dosage == 1)
            dosage[inbred] = 2 * rng.integers(0, 2, inbred.sum())
        dosage[rng.random(variants) < 0.03] = -1
        ploidy = np.where(dosage < 0, 0, 1 if man else 2).astype(np.int8)
        sex = "male" if man else "female"
        found.append(PersonData(f"s{at}", dosage, ploidy if man else None, {"sex": sex}))
    keys = [(CONTIGS.index("X"), 5_000_000 + at, "A", "G") for at in range(variants)]
    return CohortData.of(VariantTable.of("GRCh37", keys), found)


def written(data, folder):
    """Write people as x.vcf and their sex as sex.txt."""
    names = {(-1, 0): ".", (0, 1): "0", (1, 1): "1", (0, 2): "0/0", (1, 2): "0/1", (2, 2): "1/1"}
    lines = ["##fileformat=VCFv4.2", "##contig=<ID=X>",
             '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
             "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
                       + [p.participant for p in data.people])]  # fmt: skip
    for at, (_, pos, ref, alt) in enumerate(data.frame.table.keys()):
        calls = [
            names[int(p.dosage[at]), int(p.ploidy[at])] if p.ploidy is not None
            else names.get((int(p.dosage[at]), 2), "./.") for p in data.people
        ]  # fmt: skip
        lines.append("\t".join(["X", str(pos), ".", ref, alt, ".", ".", ".", "GT", *calls]))
    (folder / "x.vcf").write_text("\n".join(lines) + "\n")
    sexes = (f"{p.participant}\t{p.strata['sex'][0].upper()}\n" for p in data.people)
    (folder / "sex.txt").write_text("#IID\tSEX\n" + "".join(sexes))


def test_hardy_weinberg_on_x(plink2, tmp_path):
    data = on_x()
    written(data, tmp_path)
    go(plink2, tmp_path, "--vcf", "x.vcf", "--update-sex", "sex.txt", "--hardy")
    rows = table(tmp_path / "o.hardy.x")
    mine = run(ask("genotype_counts", **PANEL), data).rows()
    assert len(mine) == len(rows) == 60
    for own, peer in zip(mine, rows, strict=True):
        women = [own["hom_ref"], own["het"], own["hom_alt"]]
        counts = ["FEMALE_HOM_A1_CT", "FEMALE_HET_A1_CT", "FEMALE_TWO_AX_CT"]
        assert women[:: 1 if peer["A1"] == "A" else -1] == [int(peer[name]) for name in counts]
        assert six(own["hwe_p"]) == six(float(peer["P"])), (own, peer)
        assert own["hwe_na"] == ""
    assert min(float(row["P"]) for row in rows) < 1e-6 < max(float(row["P"]) for row in rows)


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bed")
    for suffix in ("bed", "bim", "fam"):
        data = files("marketplace.client.demo_data").joinpath(f"Geuvadis.{suffix}").read_bytes()
        (folder / f"g.{suffix}").write_bytes(data)
    return folder


def test_king(plink2, bed):
    go(plink2, bed, "--bfile", "g", "--make-king-table")
    people: CohortData = cohort()
    dosage = np.array([p.dosage for p in people.people]).clip(min=-1)
    mine, at = king(dosage, dosage), {p.participant: i for i, p in enumerate(people.people)}
    rows = table(bed / "o.kin0")
    assert len(rows) == 178 * 177 // 2
    for row in rows[::7]:
        own = mine[at[row["IID1"]], at[row["IID2"]]]
        assert own == pytest.approx(float(row["KINSHIP"]), rel=1e-5, abs=1e-6)
