"""What the key pages say is in a clinical record is what compute will read of it, or a refusal."""

import json
import os
import random
import re
import shutil
from copy import deepcopy

import pytest

from compute.ingest import IngestError, inspect
from ledger import b64
from tests.compute.ingest.real import real
from tests.compute.ingest.test_ingest_clinical import PHENO
from tests.compute.ingest.test_ingest_clinical import SYNTHEA as BUNDLE

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here"),
]
COUNTS = """
return x.map((text) => { try {
  const f = m.read(text);
  return { source: f.source, terms: f.terms.size, excluded: f.excluded, measurements: f.measurements,
    series: f.series, by: f.by, skipped: f.skipped, mended: f.mended,
    kept: [f.sex && 'sex', f.birthYear && 'birth_year', f.region && 'region'].filter(Boolean) };
} catch (error) { return error.constructor.name } })
"""
SYNTHEA = json.dumps(BUNDLE)
LAB, VITALS = (json.loads(real(f"openehr_{name}.json")) for name in ("laboratory", "vitals"))
RICH = {
    **PHENO,
    "subject": {"id": "p", "sex": "MALE", "dateOfBirth": "1970-02-03"},
    "diseases": [{"term": {"id": "MONDO:0005015"}, "onset": {"timestamp": "1999-01-01"}}],
    "measurements": [
        {"assay": {"id": "LOINC:718-7"}, "timeObserved": {"timestamp": "2021-02-28T10:00:00Z"},
         "value": {"quantity": {"unit": {"id": "UCUM:g/dL"}, "value": 13.5}}},
        {"assay": {"id": "OWN:1"}, "value": {"quantity": {"value": 1}}},
    ],
    "biosamples": [{}, {}], "files": [{}],
}  # fmt: skip


def told(text: str):
    """What compute says of a record: its counts, or that it is refused."""
    try:
        summary = inspect(text.encode(), "clinical", "it").as_dict()
    except IngestError:
        return "Refusal"
    wanted = ("source", "terms", "excluded", "measurements", "series")
    # Labels are not judged here: the page shows none.
    skipped = {k: n for k, n in summary["skipped"].items() if not k.startswith("label_")}
    return {
        **{name: summary[name] for name in wanted},
        "by": summary["by_terminology"], "kept": list(summary["kept"]), "skipped": skipped,
        "mended": summary["mended"],
    }  # fmt: skip


def places(value, found=None):
    """Every (container, key) of a JSON value."""
    found = [] if found is None else found
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        found.append((value, key))
        if isinstance(inner, dict | list):
            places(inner, found)
    return found


ODD = [None, True, 0, -3, 1e9, "", "x", "HP:0001631", "2021-02-30", "2020-02-29", "1799-01-01",
       "entered-in-error", "P9Y", "Patient", "female", "Patient/other", [], {}, [{}], "http://loinc.org", " 2339-0 ",
       "5089" + "A" * 32, "http://snomed.info/sct"]  # fmt: skip


def changed(record, draw):
    """The record with one to three places dropped, doubled or replaced."""
    made = deepcopy(record)
    for _ in range(draw.randint(1, 3)):
        box, key = draw.choice(places(made))
        if isinstance(box, list) and (key >= len(box) or draw.random() < 0.3):
            box.append(deepcopy(draw.choice(box)) if box else {})
        elif draw.random() < 0.3:
            del box[key]
        else:
            box[key] = deepcopy(draw.choice(ODD))
    return json.dumps(made)


def variants(number):
    draw = random.Random(7)
    bases = [PHENO, RICH, json.loads(SYNTHEA), LAB, VITALS]
    return [changed(bases[i % 5], draw) for i in range(number)]


def test_counts_are_what_compute_counts(js):
    texts = [
        real("phenopacket.json").decode(),
        json.dumps(RICH),
        SYNTHEA,
        *map(json.dumps, (LAB, VITALS)),
        *variants(1000),
    ]
    wanted = [told(text) for text in texts]
    assert {type(one) for one in wanted} == {dict, str}
    made = js("clinical/look", COUNTS, texts)
    differ = [(t[:400], w, m) for t, w, m in zip(texts, wanted, made, strict=True) if w != m]
    assert differ == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[:-1], "cut short"),
        (lambda text: text[: text.index("sex") + 2], "cut short"),
        (lambda text: text.replace(":", ";", 3), "is damaged"),
        (lambda text: '{"id": 1, ' + text.lstrip("{ \n"), "names one field twice"),
        (lambda text: re.sub(r'"sex"', '"deep": ' + "[" * 120 + "]" * 120 + ', "sex"', text, count=1), "nests too deeply"),
        (lambda text: text.replace('"id"', '"big": 1e999, "id"', 1), "number too large"),
        (lambda text: re.sub(r'(Version": )"2', r'\1"1', text), "version 2 is read"),
        (lambda _: '{"a": 1}', "neither a Phenopacket"),
        (lambda _: real("openehr_invalid.json").decode(), "composition lacks"),
        (lambda _: json.dumps({**LAB, "content": [{"_type": "X"}]}), "type openEHR does not know"),
        (lambda _: json.dumps({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient"}}] * 2}), "speaks of 2 people"),
        (lambda _: json.dumps({"id": "f", "metaData": {}, "proband": {}, "relatives": []}), "several people"),
    ],
)  # fmt: skip
def test_what_is_unclear_is_refused_by_both(js, change, said):
    text = change(json.dumps(RICH))
    assert told(text) == "Refusal"
    found = js("clinical/look", "return m.lookAt(x)", text)
    assert [said in one for one in found["refusals"]] == [True], found["refusals"]


def test_a_file_is_known_by_its_content_compressed_or_not(js):
    body = """
    const bytes = b.unb64(x);
    const packed = new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream('gzip')));
    const files = [new File([bytes], 'a'), new File([await packed.blob()], 'b')];
    return Promise.all(files.map((file) => m.peek(file)));
    """
    for text, kind in (
        (json.dumps(RICH), "Phenopacket"),
        ("\ufeff \n" + SYNTHEA, "FHIR"),
        (json.dumps(LAB), "openEHR"),
    ):
        plain, packed = js("peek", body, b64(text.encode()))
        assert plain == packed
        assert kind in plain["kind"]
        assert (plain["modality"], plain["refusals"]) == ("clinical", [])
        assert dict(plain["facts"])["People in it"] == "1"
