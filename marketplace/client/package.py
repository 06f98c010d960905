"""Everything about me, in one archive: my data back, my consents, every use, every proof.

GDPR Art. 15 and 20. Open formats, each named in the archive's own README; a manifest of SHA-256
lets anybody who gets it check that it is whole. Keys are not in it: they never leave their folder.
"""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from compute import ConsentRecord, describe, parse_terms, to_duo_json, to_fhir
from compute.crypt import decrypt_file
from compute.ingest import is_packed, parse_genotypes, write_bed, write_vcf
from marketplace.client.activity import mine_of, own_events
from marketplace.client.errors import ClientError
from marketplace.client.hand import acting_of
from marketplace.client.history import csv_rows
from marketplace.client.session import Session
from marketplace.client.statements import now_ms

MANIFEST = "manifest.json"
README = """Your data and everything recorded about it.

data/          your files, as you registered them (open them with the programs of their format;
               a .genotypes.omic is the compact form of the .vcf, and .bed, beside it)
encrypted/     the same files as they are stored (Crypt4GH; only your key opens them)
consents/      every consent you gave: plain words (.txt), GA4GH DUO (.duo.json), FHIR R4 and R5
activity.csv   who used your data, who was refused, what administrators did, what you earned
activity.json  the same for programs
entries/       every statement you signed, with what opens its commitment
receipts/      proofs that each statement stands in the public log (c2sp.org/tlog-proof)
marketplace/   every row the marketplace holds about you
manifest.json  SHA-256 of every file here
"""


def write_package(session: Session, out: Path) -> dict[str, Any]:
    """Write the archive (zip); return how much is in it. Raises ClientError, RemoteError."""
    session.keep_receipts()
    digests: dict[str, str] = {}
    try:
        with zipfile.ZipFile(out, "x", zipfile.ZIP_DEFLATED) as archive:
            for name, data in _files(session):
                archive.writestr(name, data)
                digests[name] = hashlib.sha256(data).hexdigest()
            made = {"v": 1, "party": session.home.party, "made_at": now_ms(), "sha256": digests}
            archive.writestr(MANIFEST, _json(made))
    except FileExistsError:
        raise ClientError(f"{out} is there already; choose another name") from None
    return {"file": str(out), "files": len(digests), "sha256": digests}


def check_package(path: Path) -> dict[str, Any]:
    """Check an archive against its manifest; return the manifest. Raises ClientError."""
    try:
        with zipfile.ZipFile(path) as archive:
            manifest: dict[str, Any] = json.loads(archive.read(MANIFEST))
            names = set(archive.namelist()) - {MANIFEST}
            if names != set(manifest["sha256"]):
                raise ClientError(f"{path} does not hold the files its manifest names")
            for name in sorted(names):
                if hashlib.sha256(archive.read(name)).hexdigest() != manifest["sha256"][name]:
                    raise ClientError(f"{path}: {name} was changed")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ClientError(f"{path} is no such archive ({type(error).__name__})") from None
    return manifest


def _files(session: Session) -> Iterator[tuple[str, bytes]]:
    yield "README.txt", README.encode()
    yield "identity.json", _json(session.home.identity)
    yield from _data(session)
    yield from _consents(session)
    found = own_events(session, mine_of(session))
    yield "activity.json", _json([event.to_json() for event in found])
    text = io.StringIO()
    csv.writer(text).writerows(csv_rows(found))
    yield "activity.csv", text.getvalue().encode()
    yield from _folder(session, "entries", "*.json")
    yield from _folder(session, "receipts", "*.tlog-proof")
    yield "marketplace/everything.json", _json(session.market.get("/me/everything"))


def _data(session: Session) -> Iterator[tuple[str, bytes]]:
    secret = session.home.keys.encryption().secret
    for record in session.home.documents("datasets"):
        dataset = str(record["dataset"])
        yield f"data/{dataset}.about.json", _json({k: record[k] for k in record if k != "header"})
        if record["erased"]:
            continue
        cipher = session.market.download(f"/datasets/{dataset}/file")
        yield f"encrypted/{dataset}.c4gh", cipher
        data, name = decrypt_file(cipher, secret), Path(str(record["name"])).name
        yield from _openable(f"data/{dataset}", name, data)


def _openable(stem: str, name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a dataset as its programs read it: our compact form of genotypes as VCF and BED too."""
    if not is_packed(data):
        yield f"{stem}.{name}", data
        return
    yield f"{stem}.genotypes.omic", data
    genotypes = parse_genotypes(data, name)
    yield f"{stem}.genotypes.vcf", write_vcf(genotypes)
    if genotypes.covered is not None:
        yield f"{stem}.covered.bed", write_bed(genotypes.covered)


def _consents(session: Session) -> Iterator[tuple[str, bytes]]:
    acting = acting_of(session.home)
    for document in session.home.documents("grants"):
        if document.get("index") is None:
            continue
        name, terms = f"consents/{document['grant']}", parse_terms(document["terms"])
        record = ConsentRecord(
            grant=str(document["grant"]),
            owner=session.home.party,
            dataset=str(document["dataset"]),
            controller=None,
            state=str(document["state"]),
            given_at=_given_at(session, int(document["index"])),
            holder=None if acting is None else acting.holder,
        )
        yield f"{name}.txt", ("\n".join(describe(terms)) + "\n").encode()
        yield f"{name}.duo.json", _json(to_duo_json(terms))
        yield f"{name}.fhir-r4.json", _json(to_fhir(terms, record, "R4"))
        yield f"{name}.fhir-r5.json", _json(to_fhir(terms, record, "R5"))


def _given_at(session: Session, index: int) -> int:
    entry: Mapping[str, Any] | None = session.home.read(f"entries/{index:012d}.json")
    return int(entry["time"]) if entry is not None else 0


def _folder(session: Session, name: str, pattern: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted((session.home.path / name).glob(pattern)):
        yield f"{name}/{path.name}", path.read_bytes()


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
