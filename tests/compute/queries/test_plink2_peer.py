"""plink2 itself, run on the shipped PLINK files, with the covariates the known answers lack."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.resources import files

import pytest

from compute.queries import parse_query, run
from tests.compute.cohort import cohort
from tests.compute.queries.test_known_answers import off_by, six

pytestmark = pytest.mark.peer
GENE = "ENSG00000215790"
PCS = ["PC1", "PC2", "PC3", "PC4", "PC5"]


@pytest.fixture(scope="module")
def plink2():
    found = shutil.which("plink2")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("plink2 is not installed (apt-get install plink2)")
    if found is None:
        pytest.skip("plink2 is not installed")
    return found


def glm(plink2, tmp_path, covariates):
    bed = files("marketplace.client.demo_data")
    for suffix in ("bed", "bim", "fam"):
        (tmp_path / f"g.{suffix}").write_bytes(bed.joinpath(f"Geuvadis.{suffix}").read_bytes())
    rows = [["#FID", "IID", "y", "population", "sex", *PCS]]
    for p in cohort().people:
        yri, male = p.strata["population"] == "YRI", p.strata["sex"] == "male"
        rows.append(
            ["0", p.participant, repr(p.features[GENE]), str(int(yri)), str(int(male))]
            + [repr(p.covariates[pc]) for pc in PCS]
        )
    (tmp_path / "p.txt").write_text("\n".join("\t".join(row) for row in rows) + "\n")
    command = [
        plink2, "--bfile", "g", "--pheno", "p.txt", "--pheno-name", "y", "--covar", "p.txt",
        "--covar-name", *covariates, "--glm", "hide-covar", "omit-ref", "--threads", "1", "--out", "o",
    ]  # fmt: skip
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    lines = (tmp_path / "o.y.glm.linear").read_text().splitlines()
    head = lines[0].split("\t")
    return [dict(zip(head, line.split("\t"), strict=True)) for line in lines[1:]]


@pytest.mark.parametrize("covariates", [["population"], PCS, ["population", "sex", *PCS]])
def test_covariates_equal_plink2(plink2, tmp_path, covariates):
    query = {
        "v": 1,
        "family": "cis_association",
        "build": "GRCh37",
        "params": {"gene": GENE, "variants": {"panel": "all"}, "covariates": covariates},
    }
    mine = run(parse_query(query), cohort()).rows()
    theirs = glm(plink2, tmp_path, covariates)
    assert len(mine) == len(theirs) == 3204
    for row, peer in zip(mine, theirs, strict=True):
        assert (row["pos"], row["a1"], row["n"]) == (
            int(peer["POS"]),
            peer["A1"],
            int(peer["OBS_CT"]),
        )
        assert (row["na"] == "") == (peer["BETA"] != "NA"), (row, peer)
        if row["na"]:
            continue
        for name, column in (("beta", "BETA"), ("se", "SE"), ("t", "T_STAT"), ("p", "P")):
            if six(row[name]) != six(float(peer[column])):
                assert abs(off_by(six(abs(float(peer[column]))), abs(row[name]))) < 1e-6, (
                    name,
                    row,
                    peer,
                )
