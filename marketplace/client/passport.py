"""The health passport: share one dataset, or a part of it, with a named professional's key.

The header is encrypted to that key here; a part is cut here and encrypted anew with a key of its
own (an edit list would hide it from honest programs only). The ledger records the share and its
end. Stopping ends further downloads; what was fetched stays readable.
Spec: Crypt4GH (samtools/hts-specs), header re-encryption.
"""

import gzip
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from compute.crypt import (
    decrypt_file,
    encrypt_file,
    read_header,
    read_public_key,
    reencrypt_header,
)
from compute.ingest import is_packed, parse_genotypes, write_vcf
from ledger import b64, unb64
from marketplace.client.errors import ClientError, RemoteError
from marketplace.client.hand import signed
from marketplace.client.session import Session
from marketplace.client.statements import append, new_id

BEFORE = (
    "Before you share: whoever you share with can keep what they download, and read it for good. "
    "Stopping the share, or its date, ends further downloads only."
)
NOT_SENT = "not sent yet"


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of a chromosome: 1-based positions, both ends included."""

    contig: str
    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> "Region":
        """Read "22:100-200". Raises ClientError."""
        contig, _, rest = text.partition(":")
        start, _, end = rest.replace(",", "").partition("-")
        if not contig or not start.isdigit() or not end.isdigit() or int(start) > int(end):
            raise ClientError(f"{text!r} is no region; write it as 22:10000-20000")
        return cls(contig, int(start), int(end))


def share(
    session: Session, dataset: str, professional: Path, until: int | None, *,
    region: Region | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Share a dataset with the holder of a Crypt4GH public key; return the share and its link.

    professional: their public key file. until: Unix ms, exclusive. region: share only this part.
    Raises ClientError; LedgerError when the ledger refuses the share.
    """
    home = session.home
    record = home.read(f"datasets/{dataset}.json")
    if record is None or record["erased"] or record.get("replaced_by"):
        raise ClientError(f"dataset {dataset} is not registered here, or is not in use any more")
    recipient, token = read_public_key(professional), secrets.token_urlsafe(24)
    part = None if region is None else _part(session, record, recipient, region)
    header = _header(session, record, recipient) if part is None else read_header(part)
    fields = {
        "share": new_id(),
        "owner": home.party,
        "dataset": dataset,
        "recipient_key": b64(recipient),
        "header_sha256": hashlib.sha256(header).hexdigest(),
        "valid_until": until,
    }
    (done,) = append(session.ledger, home, [signed(home, "share.given", fields, dataset=dataset)])
    address = f"{home.trust.marketplace_url.rstrip('/')}/api/v1/passport/{fields['share']}"
    # Written down before it is sent: it can be sent again or stopped, whatever the market says.
    home.write(f"passport/{fields['share']}.json", {
        **fields,
        "index": done.index,
        "link": f"{address}#{token}",
        "region": None if region is None else f"{region.contig}:{region.start}-{region.end}",
        "stopped": None,
        "waiting": {"header": b64(header)} if part is None else {"part": b64(part)},
    })  # fmt: skip
    return _sent(session, str(fields["share"]))


def _sent(session: Session, share_id: str) -> dict[str, Any]:
    try:
        return send(session, share_id)
    except RemoteError as error:
        later = (
            f"`omic passport send {share_id}` tries again, `omic passport stop {share_id}` ends it"
        )
        raise RemoteError(
            f"{error}. The share stands on the ledger, but nobody can fetch it yet: {later}",
            error.status, error.code,
        ) from None  # fmt: skip


def _header(session: Session, record: Mapping[str, Any], recipient: bytes) -> bytes:
    secret = session.home.keys.encryption().secret
    return reencrypt_header(unb64(record["header"]), secret, recipient)


def send(session: Session, share_id: str) -> dict[str, Any]:
    """Leave at the marketplace what a share is fetched from; nothing where it has that already.

    Raises ClientError for a share unknown here or stopped, RemoteError when it is refused.
    """
    home, name = session.home, f"passport/{share_id}.json"
    document = _open_share(session, share_id)
    waiting = document.get("waiting")
    if waiting is None:
        return document
    digest = hashlib.sha256(document["link"].partition("#")[2].encode()).hexdigest()
    if waiting.get("part"):
        session.market.deposit_part(share_id, unb64(waiting["part"]), digest)
    elif waiting.get("header"):
        body = {"share": share_id, "header": waiting["header"], "token_sha256": digest}
        session.market.post("/passport", body)
    else:
        raise ClientError(
            "the part that was cut lies in the browser you shared it from; send it there"
        )
    document = {**document, "waiting": None}
    home.write(name, document)
    return document


def _open_share(session: Session, share_id: str) -> dict[str, Any]:
    document = session.home.read(f"passport/{share_id}.json")
    if document is None or document["stopped"] is not None:
        raise ClientError(f"no open share {share_id}; `omic passport list` shows yours")
    return document


def _part(session: Session, record: Mapping[str, Any], recipient: bytes, region: Region) -> bytes:
    """Return a part of a dataset as a file of its own: own session key, for this reader alone."""
    if record["modality"] != "genotypes":
        raise ClientError("only a part of a genotype file can be cut; share the others whole")
    cipher = session.market.download(f"/datasets/{record['dataset']}/file")
    plain = decrypt_file(cipher, session.home.keys.encryption().secret)
    return encrypt_file(cut_vcf(plain, region), recipient)


def cut_vcf(data: bytes, region: Region) -> bytes:
    """Return a VCF's header and its records whose position lies in a region, as plain VCF text.

    Our compact form of genotypes is cut as the VCF it stands for. Raises ClientError when the file
    is no VCF or nothing of it lies there.
    """
    text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    if is_packed(text):
        text = write_vcf(parse_genotypes(text, "the file"))
    if not text.startswith(b"##fileformat=VCF"):
        raise ClientError("the file is no VCF, so no part of it can be cut; share it whole")
    kept = [line for line in text.splitlines(keepends=True) if _is_kept(line, region)]
    if not any(not line.startswith(b"#") for line in kept):
        raise ClientError("nothing in the file lies in that region; check the chromosome's name")
    return b"".join(kept)


def _is_kept(line: bytes, region: Region) -> bool:
    if line.startswith(b"#"):
        # Lines of other programs can hold paths and names; a part carries what a reader needs.
        return line.startswith((b"##fileformat", b"##contig", b"##FORMAT", b"##INFO", b"##FILTER",
                                b"#CHROM", b"##reference", b"##omic"))  # fmt: skip
    contig, position = line.split(b"\t", 2)[:2]
    here = contig.decode().removeprefix("chr") == region.contig.removeprefix("chr")
    return here and position.isdigit() and region.start <= int(position) <= region.end


def stop_share(session: Session, share_id: str) -> int:
    """Stop a share: no further download; return the ledger index. Raises ClientError."""
    home, document = session.home, _open_share(session, share_id)
    fields = {"share": share_id, "owner": home.party, "dataset": document["dataset"]}
    statement = signed(home, "share.stopped", fields, dataset=str(document["dataset"]))
    (done,) = append(session.ledger, home, [statement])
    home.write(f"passport/{share_id}.json", {**document, "stopped": done.index, "waiting": None})
    return done.index


def shares(session: Session) -> list[dict[str, Any]]:
    """Return this home's shares with what the marketplace says of their downloads."""
    told = {one["share"]: one for one in session.market.get("/me/passport")["shares"]}
    return [
        {**_listed(document), **told.get(document["share"], {})}
        for document in session.home.documents("passport")
    ]


def _listed(document: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in document.items() if name not in {"link", "waiting"}}
    return shown | ({"status": NOT_SENT} if document.get("waiting") else {})


def fetch(link: str, http: httpx.Client | None = None) -> Iterator[bytes]:
    """Yield the Crypt4GH file a link stands for. For the professional: needs no account.

    Raises RemoteError saying why the share cannot be had any more.
    """
    url, _, token = link.partition("#")
    if not token:
        raise ClientError("this is not a whole link: it ends in # and a secret")
    client = http or httpx.Client(timeout=60.0)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with client.stream("GET", url, headers=headers) as response:
            if not response.is_success:
                problem = _problem(response.read())
                raise RemoteError(f"the share cannot be fetched: {problem}", response.status_code)
            yield from response.iter_bytes()
    except httpx.HTTPError as error:
        raise RemoteError(f"{url} does not answer ({type(error).__name__})") from None


def _problem(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return "it was refused"
