"""Reading answers: every family's example, tables, GWAS-SSF, lambda GC, figures."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from compute.queries import catalogue, parse_query
from marketplace.catalogue import parse_request
from marketplace.client import answers
from marketplace.client.cli import app
from marketplace.client.errors import ClientError
from marketplace.client.examples import SHELF, example, filled

# The mandatory columns in their order: EBISPOT/gwas-summary-statistics-standard, GWAS-SSF v1.0.
STANDARD = ["chromosome", "base_pair_location", "effect_allele", "other_allele", "beta",
            "standard_error", "effect_allele_frequency", "p_value"]  # fmt: skip
GWAS = {
    "contig": ["X", "2", "1", "1"], "pos": [10, 7, 900, 20], "ref": ["A", "C", "G", "T"],
    "alt": ["G", "T", "A", "C"], "ac": [30, 12, None, 40], "an": [60, 60, 60, 80],
    "n": [30, 30, 30, 40], "beta": [0.5, -0.25, None, 0.125], "se": [0.1, 0.2, None, 0.3],
    "p": [1e-6, 0.2, None, 0.5],
}  # fmt: skip


@pytest.mark.parametrize("family", sorted(catalogue()))
def test_every_family_has_an_example_the_market_takes(family):
    request = example(family)
    assert parse_request(filled(request)).family == family
    assert SHELF not in json.dumps(filled(request))
    shown = CliRunner().invoke(app, ["order", "template", "--family", family])
    assert shown.exit_code == 0 and json.loads(shown.stdout) == request


def test_an_unknown_family_is_told_apart():
    shown = CliRunner().invoke(app, ["order", "template", "--family", "everything"])
    assert shown.exit_code != 0


def test_gwas_ssf_has_the_columns_of_the_published_standard_in_order():
    mine = list(csv.DictReader(io.StringIO(answers.gwas_ssf(GWAS)), delimiter="\t"))
    assert list(mine[0])[:8] == STANDARD
    assert [row["chromosome"] for row in mine] == ["1", "2", "23"]
    assert mine[2] == {
        "chromosome": "23", "base_pair_location": "10", "effect_allele": "G", "other_allele": "A",
        "beta": "0.5", "standard_error": "0.1", "effect_allele_frequency": "0.5",
        "p_value": "1e-06", "variant_id": "X_10_A_G", "n": "30",
    }  # fmt: skip


def test_lambda_gc_of_uniform_p_is_1():
    ps = ((np.arange(9999) + 0.5) / 9999).tolist()
    columns = {**{k: [v[0]] * 9999 for k, v in GWAS.items()}, "p": ps}
    told = answers.gwas_figures(columns)
    assert told["lambda_gc"] == pytest.approx(1.0, abs=1e-9)
    assert all(x == pytest.approx(y) for x, y in told["qq"])


def test_hidden_rows_take_no_part():
    told = answers.gwas_figures(GWAS)
    assert told["tests"] == 3 and len(told["manhattan"]) == 3


@pytest.mark.parametrize(
    "columns",
    [GWAS, {"stratum": ["all"], "metric": ["score"], "mean": [1.0], "sd": [2.0], "q05": [None],
            "q25": [0.0], "q50": [1.0], "q75": [2.0], "q95": [None]},
     {"term": ["HP:1", "HP:2"], "prevalence": [0.5, None]},
     {"dosage": [0, 1], "genotype": ["T/T", "T/C"], "n": [60, 30], "mean": [8.0, 9.0],
      "q05": [6.0, None], "q25": [7.0, 8.0], "q50": [8.0, None], "q75": [9.0, 10.0],
      "q95": [None, None], "fit": [8.0, 9.0]},
     {"stratum": ["f", "f", "m"], "age_from": [0, 50, 0], "age_to": [50, 90, 50],
      "at_risk": [100, 60, 80], "events": [10, 0, 0], "survival": [0.9, 0.9, None],
      "survival_low": [0.8, None, None], "survival_high": [0.95, None, None]},
     {"age_from": [0], "age_to": [90], "at_risk": [None], "survival": [None],
      "survival_low": [None], "survival_high": [None]}],
)  # fmt: skip
def test_tables_and_figures_of_a_result(tmp_path, columns):
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"answer": {"family": "x", "columns": columns, "facts": {"k": 1}}}))
    options = ["order", "table", str(path), "--plot", str(tmp_path / "f.png")]
    shown = CliRunner().invoke(app, options)
    assert shown.exit_code == 0, shown.output
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    text = CliRunner().invoke(app, ["order", "table", str(path), "--format", "tsv"]).stdout
    assert text.splitlines()[0].split("\t") == list(columns)


def test_what_is_no_association_is_not_drawn_as_one():
    with pytest.raises(ClientError):
        answers.gwas_ssf({"term": ["x"]})
    assert parse_query(filled(example("linkage")["query"])).family == "linkage"
