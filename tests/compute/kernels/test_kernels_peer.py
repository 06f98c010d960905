"""The kernels against plink2 on the same made genotypes."""

import os
import shutil
import subprocess

import numpy as np
import pytest

from compute.kernels import (
    CodeCounter,
    LinearAssociation,
    LogisticFit,
    LogisticScore,
    NullModel,
    PolygenicScores,
    hwe_exact,
    pack_dosages,
)

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        shutil.which("plink2") is None and not os.environ.get("CI"), reason="no plink2"
    ),
]
PEOPLE, ROWS = 400, 300


class Made:
    """Genotypes, traits and plink2's reports on them."""

    def __init__(self, folder):
        random = np.random.default_rng(17)
        frequency = random.uniform(0.02, 0.98, ROWS)
        self.dosage = random.binomial(2, frequency, (PEOPLE, ROWS)).astype(np.int8)
        self.dosage[random.random((PEOPLE, ROWS)) < 0.02] = -1
        self.covariates = random.normal(size=(PEOPLE, 3)).round(6)
        self.trait = (self.covariates @ [1, 2, 3] + random.normal(size=PEOPLE)).round(6) + 100
        self.case = (random.random(PEOPLE) < 0.4).astype(float)
        self.weights = random.normal(size=ROWS).round(6)
        self.planes = pack_dosages(self.dosage)
        self.prefix = folder / "made"
        self._write()

    def _write(self):
        codes = np.array([3, 2, 0, 1], np.uint8)[self.dosage.T]  # dosage -1 is the last: missing
        octets = (codes.reshape(ROWS, -1, 4) << np.array([0, 2, 4, 6], np.uint8)).sum(axis=2)
        body = b"\x6c\x1b\x01" + octets.astype(np.uint8).tobytes()
        self.prefix.with_suffix(".bed").write_bytes(body)
        sites = "".join(f"1\tv{n}\t0\t{n + 1}\tG\tA\n" for n in range(ROWS))
        self.prefix.with_suffix(".bim").write_text(sites)
        people = "".join(f"0\tp{n}\t0\t0\t0\t-9\n" for n in range(PEOPLE))
        self.prefix.with_suffix(".fam").write_text(people)
        lines = ["#FID\tIID\tqt\tcc\tc1\tc2\tc3"]
        for n in range(PEOPLE):
            values = [self.trait[n], self.case[n] + 1, *self.covariates[n]]
            lines.append("\t".join(["0", f"p{n}", *(f"{value:.6f}" for value in values)]))
        self.traits = self.prefix.with_suffix(".traits")
        self.traits.write_text("\n".join(lines) + "\n")
        text = "".join(f"v{n}\tG\t{w:.6f}\n" for n, w in enumerate(self.weights))
        self.prefix.with_suffix(".weights").write_text(text)

    def report(self, suffix, *arguments):
        command = ["plink2", "--bfile", str(self.prefix), "--out", str(self.prefix), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
        lines = self.prefix.with_suffix(suffix).read_text().splitlines()
        rows = [line.split("\t") for line in lines]
        table = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))

        def number(text):
            return float("nan") if text in {"NA", "."} else float(text)

        return lambda name: np.array([number(text) for text in table[name]])

    def glm(self, trait, suffix, *options):
        given = ["--pheno", str(self.traits), "--pheno-name", trait, "--covar", str(self.traits)]
        names = ["--covar-name", "c1,c2,c3", "--glm", "hide-covar", "omit-ref", *options]
        return self.report(f".{trait}.glm.{suffix}", *given, *names)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Made(tmp_path_factory.mktemp("plink2"))


def test_counts_and_hwe(made):
    counter = CodeCounter(ROWS)
    counter.add(made.planes)
    one, two, without = counter.counts()
    none = PEOPLE - one - two - without
    theirs = made.report(".gcount", "--geno-counts")
    names = ("HOM_REF_CT", "HET_REF_ALT_CTS", "TWO_ALT_GENO_CTS", "MISSING_CT")
    for mine, name in zip((none, one, two, without), names, strict=True):
        assert np.array_equal(mine, theirs(name))
    p = made.report(".hardy", "--hardy")("P")
    assert np.allclose(hwe_exact(none, one, two), p, rtol=1e-5)


def test_linear(made):
    linear = LinearAssociation(made.trait, made.covariates, ROWS)
    linear.add(0, made.planes)
    found, theirs = linear.result(), made.glm("qt", "linear")
    assert np.array_equal(found.n, theirs("OBS_CT"))
    for mine, name in ((found.beta, "BETA"), (found.se, "SE"), (found.p, "P")):
        assert np.allclose(mine, theirs(name), rtol=1e-5, atol=1e-9, equal_nan=True)


def test_logistic(made):
    found = LogisticFit(NullModel(made.case, made.covariates)).fit(made.planes, ROWS)
    theirs = made.glm("cc", "logistic", "no-firth")
    settled = (found.reason == "") & np.isfinite(theirs("OR"))
    assert settled.mean() > 0.95
    assert np.allclose(np.exp(found.beta[settled]), theirs("OR")[settled], rtol=1e-4)
    # This plink2 fits in single precision; a few of its standard errors are off by a percent.
    apart = np.abs(found.se[settled] / theirs("LOG(OR)_SE")[settled] - 1)
    assert np.median(apart) < 1e-4
    score = LogisticScore(NullModel(made.case, made.covariates), ROWS)
    score.add(0, made.planes)
    assert np.abs(score.result().stat[settled] - found.stat[settled]).max() < 0.3


def test_scores(made):
    called = made.dosage >= 0
    mean = np.where(called, made.dosage, 0).sum(axis=0) / called.sum(axis=0)
    mine = PolygenicScores(made.weights[None], mean).scores(made.planes)[0][:, 0]
    given = ["--score", str(made.prefix.with_suffix(".weights")), "1", "2", "3", "cols=scoresums"]
    theirs = made.report(".sscore", *given)("SCORE1_SUM")
    assert np.allclose(mine, theirs, rtol=1e-5, atol=1e-4)
