"""The confined child's usual limits, and how it names a file. Every hostile kind goes through it in
tests/compute/test_worker_hostile.py, from the owner's upload to the worker's disk."""

from __future__ import annotations

import pytest

from compute.ingest import HostLimits, IngestError, ParserHost
from tests.compute.ingest.hostile_files import GOOD, HOSTILE
from tests.compute.ingest.vcf_text import vcf


@pytest.fixture(scope="module")
def host():
    with ParserHost() as host:
        yield host


def test_the_limits_are_those_promised():
    limits = HostLimits()
    assert (limits.memory, limits.cpu_s, limits.wall_s) == (512 << 20, 60, 60.0)
    assert limits.answer <= limits.memory


@pytest.mark.parametrize("kind", ["a gzip cut short", "NaN", "JSON with NaN", "no UTF-8"])
def test_a_refusal_shows_a_files_name_without_its_path(host, kind):
    modality, make, code = HOSTILE[kind]
    with pytest.raises(IngestError) as caught:
        host.parse(make(), modality, "../../x\n.vcf")
    assert (caught.value.code, caught.value.name) == (code, "x?.vcf")
    assert len(host.parse(GOOD, "genotypes", "x")) == 1


def test_records_out_of_order_are_read_in_order(host):
    g = host.parse(vcf(("2", 9, "A", "G", "0/1"), ("1", 9, "A", "G", "1/1")), "genotypes", "x")
    assert (g.contig.tolist(), g.dosage.tolist()) == ([0, 1], [2, 1])
