"""The shipped cohort and its cut."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files

from compute.ingest import inspect
from marketplace.client import demo_data


def test_origin_names_every_file_with_its_digest():
    home = files("marketplace.client.demo_data")
    stated = dict(
        re.findall(r"^([0-9a-f]{64})  (\S+)$", home.joinpath("ORIGIN.md").read_text(), re.M)
    )
    stated = {name: digest for digest, name in stated.items()}
    assert len(stated) == 7
    for name, digest in stated.items():
        assert hashlib.sha256(home.joinpath(name).read_bytes()).hexdigest() == digest


def test_178_people_and_what_each_holds():
    people = demo_data.people()
    assert [sum(p.population == x for p in people) for x in ("CEU", "YRI")] == [90, 88]
    assert sum(p.sex == "female" for p in people) == 94
    one = people[0].participant
    genotypes = inspect(demo_data.vcf(one), "genotypes", "g")
    assert (genotypes.sample, genotypes.build, genotypes.callability) == (
        one,
        "GRCh37",
        "all-sites",
    )
    assert (genotypes.variants, genotypes.skipped) == (3204, {})
    assert inspect(demo_data.expression(one), "expression", "e").features == 805
    assert inspect(demo_data.record(one), "participant", "p").covariates == (
        "PC1",
        "PC2",
        "PC3",
        "PC4",
        "PC5",
    )


def test_all_missing_values_and_calls_are_written_out():
    missing = sum(
        inspect(demo_data.expression(p.participant), "expression", "e").missing
        for p in demo_data.people()
    )
    no_calls = sum(
        inspect(demo_data.vcf(p.participant), "genotypes", "g").no_calls.get("missing", 0)
        for p in demo_data.people()
    )
    assert (missing, no_calls) == (4, 125)


def test_genes_have_places():
    gene = demo_data.gene("ENSG00000189339")
    assert (gene.chrom, gene.start, gene.end) == ("1", 1592939, 1624167)


def test_the_cut_is_complete_and_the_same_each_time(tmp_path):
    assert demo_data.write(tmp_path) == 534
    one = demo_data.people()[7].participant
    assert (tmp_path / one / "genotypes.vcf.gz").read_bytes() == demo_data.vcf(one)
    assert len(list(tmp_path.rglob("*.*"))) == 534
