"""What an owner does: enrol, register, offer, grant, withdraw, erase.

Files are checked and encrypted here, to the owner alone, before anything leaves. A consent is a
key: `grant` re-encrypts the header packet to the compute service and seals it to the exact terms.
Statements are prepared first and posted together, so a refused one leaves nothing half done.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from compute import Terms, terms_sha256
from compute.crypt import encrypt_file, grant_info, read_header, reencrypt_header, seal_grant
from compute.ingest import Given, Modality, Summary, settle
from ledger import (
    Appended,
    ComputeKey,
    Signature,
    Submission,
    b64,
    cosign,
    fingerprint,
    parse_entry_bytes,
    submission_for,
    submission_to_json,
    unb64,
)
from marketplace.client.errors import ClientError, HomeError
from marketplace.client.hand import signed
from marketplace.client.handed import Stopped, stop
from marketplace.client.session import Session
from marketplace.client.statements import append, drafted, new_id, now_ms

MODALITIES = get_args(Modality)
_FORMAT_FIELDS = ("build", "callability", "namespace")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file checked and encrypted, not yet sent: the statement about it and its ciphertext."""

    dataset: str
    modality: str
    summary: Summary
    ciphertext: bytes
    submission: Submission
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Roles:
    """Who answers for a dataset and where it lies; retain_until: Unix ms, or None for no date."""

    region: str = "local"
    controller: str | None = None
    custodian: str | None = None
    retain_until: int | None = None

    def fields(self, owner: str) -> dict[str, Any]:
        """Return the fields of dataset.registered; the owner controls what nobody else does."""
        value = {
            "region": self.region,
            "controller": self.controller or owner,
            "custodian": self.custodian,
        }
        return value if self.retain_until is None else {**value, "retain_until": self.retain_until}


@dataclass(frozen=True, slots=True)
class Owner:
    """The verbs of one owner, on one session."""

    session: Session

    # -- enrolment

    def enrol(self) -> Submission:
        """Return this owner's registration, cosigned by the attester (not yet posted)."""
        home = self.session.home
        sign, encrypt = home.keys.signing(), home.keys.encryption()
        fields = {
            "party": home.party,
            "role": "owner",
            "keys": [
                {"public_key": b64(sign.public), "kind": "ed25519", "use": "sign"},
                {"public_key": b64(encrypt.public), "kind": "x25519", "use": "encrypt"},
            ],
        }
        return cosigned(self.session, drafted("party.registered", fields, sign))

    # -- register

    def prepare(
        self,
        source: Path | bytes,
        modality: Modality,
        *,
        name: str = "",
        given: Given | None = None,
        roles: Roles | None = None,
        replacing: str | None = None,
    ) -> Prepared:
        """Check a file and encrypt it to this owner alone; nothing leaves the machine yet.

        given: what is said beside the file; then one person's part of it, in a form that speaks
        for itself, is encrypted in its place. replacing: the dataset this one is to take the place
        of; its content may be the same.

        Raises ClientError (or compute's IngestError) naming file, line and what to do; an already
        registered content is refused with the dataset it is registered as.
        """
        data, label = _read(source, name)
        data, summary = settle(data, modality, label, given or Given())
        self._refuse_twice(summary.content_digest, label, replacing)
        home = self.session.home
        ciphertext = encrypt_file(data, home.keys.encryption().public)
        header = read_header(ciphertext)
        dataset = new_id()
        key_name = f"datasets/{dataset}"
        home.keys.create(key_name, "sign")
        said = {
            "dataset": dataset,
            "modality": modality,
            "ciphertext": _manifest(ciphertext, header),
            "format": _format(summary),
        }
        fields = {
            **said,
            "owner": home.party,
            "participant": self._participant(),
            "signing_key": b64(home.keys.signing(key_name).public),
            **(roles or Roles()).fields(home.party),
        }
        submission = signed(home, "dataset.registered", fields)
        record = {
            **said,
            "name": label,
            "content_digest": summary.content_digest,
            "header": b64(header),
            "index": None,
            "erased": False,
            "summary": summary.as_dict(),
        }
        return Prepared(dataset, modality, summary, ciphertext, submission, record)

    def send(
        self,
        prepared: Sequence[Prepared],
        *,
        before: Sequence[Submission] = (),
        after: Sequence[Submission] = (),
    ) -> list[Appended]:
        """Upload prepared files, post their statements together, and activate the uploads.

        `before` and `after` are statements of the same owner posted in the same all-or-none batch
        (enrolment before; offers and grants after). Statements precede uploads, because the
        marketplace knows who may upload from the ledger alone.
        """
        batch = [*before, *(p.submission for p in prepared), *after]
        appended = append(self.session.ledger, self.session.home, batch)
        for item, done in zip(prepared, appended[len(before) :], strict=False):
            self.session.home.write(
                f"datasets/{item.dataset}.json", {**item.record, "index": done.index}
            )
        self._remember_grants(batch, appended)
        self._upload(prepared)
        return appended

    def _upload(self, prepared: Sequence[Prepared]) -> None:
        market = self.session.market
        for item in prepared:
            # Staged where the marketplace has not read our registration yet: it waits for that.
            if market.upload(item.dataset, item.ciphertext)["state"] != "active":
                market.post("/datasets", {"dataset": item.dataset})

    # -- offer and grant

    def offer(
        self, datasets: Sequence[str], terms: Terms, facets: Mapping[str, str]
    ) -> tuple[str, Submission]:
        """Return an offer of datasets under terms, with the facets the owner chose to publish."""
        home = self.session.home
        fields = {
            "offer": new_id(),
            "owner": home.party,
            "datasets": list(datasets),
            "terms": terms.to_dict(),
            "facets": dict(facets),
        }
        submission = signed(home, "offer.published", fields)
        return str(fields["offer"]), submission

    def grant(
        self,
        record: Mapping[str, Any],
        offer: str,
        terms: Terms,
        facets: Mapping[str, str],
        *,
        order: str | None = None,
        region: str = "local",
    ) -> Submission:
        """Return a consent for one dataset: the header packet for compute, sealed to the terms.

        record: the home's document of the dataset. region: where it may be opened; the recipient
        key is the newest one of that region that the *ledger* shows, signed by the compute
        identity pinned in the trust file.
        """
        home = self.session.home
        recipient = self.session.view.recipient(region, now_ms())
        activity_key = secrets.token_bytes(32)
        grant, dataset = new_id(), str(record["dataset"])
        said = {
            "grant": grant,
            "dataset": dataset,
            "offer": offer,
            "order": order,
            "facets": dict(facets),
            "terms": terms.to_dict(),
        }
        sealed = self._sealed(record, said, activity_key, recipient)
        fields = {
            **said,
            "owner": home.party,
            "terms_sha256": terms_sha256(terms),
            "recipient": {"key_id": recipient.key_id, "region": recipient.region},
            "sealed_grant_sha256": hashlib.sha256(sealed).hexdigest(),
            "activity_commitment": hashlib.sha256(activity_key).hexdigest(),
        }
        kept = {"region": region, "activity_key": b64(activity_key), "index": None}
        home.write(f"grants/{grant}.json", {**said, **kept, "state": "prepared"})
        attachments = {"sealed_grant": sealed}
        return signed(home, "consent.granted", fields, dataset=dataset, attachments=attachments)

    def _sealed(
        self,
        record: Mapping[str, Any],
        said: Mapping[str, Any],
        activity_key: bytes,
        recipient: ComputeKey,
    ) -> bytes:
        """Return a dataset's header packet for a recipient, sealed to what a consent says."""
        home = self.session.home
        secret = home.keys.encryption().secret
        packet = reencrypt_header(unb64(record["header"]), secret, unb64(recipient.crypt4gh_public))
        info = grant_info(home.party, said["dataset"], said["grant"], said["terms"])
        return seal_grant(packet, activity_key, unb64(recipient.hpke_public), info)

    def _remember_grants(self, batch: Sequence[Submission], appended: Sequence[Appended]) -> None:
        for submission, done in zip(batch, appended, strict=True):
            if submission.entry.type == "consent.granted":
                name = f"grants/{submission.entry.payload['grant']}.json"
                known = self.session.home.read(name) or {}
                self.session.home.write(name, {**known, "index": done.index, "state": "live"})

    # -- stop

    def withdraw(self, grant: str) -> Stopped:
        """Take a consent back: the key of this grant is destroyed wherever it is live."""
        return self._stop(grant, "consent.withdrawn", "withdrawn")

    def pause(self, grant: str) -> Stopped:
        """Suspend a consent without ending it."""
        return self._stop(grant, "consent.paused", "paused")

    def _stop(self, grant: str, type_: str, becomes: str) -> Stopped:
        home = self.session.home
        document = self._grant(grant)
        fields = {
            "grant": grant,
            "dataset": document["dataset"],
            "owner": home.party,
            "stops": [int(document["index"])],
        }
        submission = signed(home, type_, fields, dataset=str(document["dataset"]))
        done = stop(self.session, submission)
        home.write(f"grants/{grant}.json", {**document, "state": becomes, "stop": done.index})
        return done

    def erase(self, dataset: str) -> Stopped:
        """Erase a dataset: ends its grants and lets its envelopes and ciphertext go everywhere.

        Compute and marketplace act on the leaf alone. The ledger keeps commitments that mean
        nothing any more; receipts in this home stay yours.
        """
        home = self.session.home
        record = home.read(f"datasets/{dataset}.json")
        if record is None or record.get("index") is None:
            raise ClientError(f"no registered dataset {dataset} in {home.path}; see `omic list`")
        stops, erases = self._indexes_of(dataset)
        fields = {"dataset": dataset, "owner": home.party, "stops": stops, "erases": erases}
        submission = signed(home, "dataset.erased", fields)
        done = stop(self.session, submission)
        home.write(f"datasets/{dataset}.json", {**record, "erased": True})
        for document in home.documents("grants"):
            if document["dataset"] == dataset:
                home.write(f"grants/{document['grant']}.json", {**document, "state": "erased"})
        home.keys.delete(f"datasets/{dataset}")
        return done

    def _indexes_of(self, dataset: str) -> tuple[list[int], list[int]]:
        """Return the grants still to stop, and every entry of ours that is about the dataset."""
        grants = [d for d in self.session.home.documents("grants") if d["dataset"] == dataset]
        stops = [int(d["index"]) for d in grants if d["state"] in ("live", "paused")]
        erases = [
            int(document["index"])
            for document in self.session.home.documents("entries")
            if _is_about(parse_entry_bytes(unb64(document["entry"])).payload, dataset)
        ]
        return sorted(stops), sorted(erases)

    # -- helpers

    def _participant(self) -> str:
        identity = self.session.home.identity
        if "participant" not in identity:
            identity = {**identity, "participant": new_id()}
            self.session.home.write("identity.json", identity)
        return identity["participant"]

    def _grant(self, grant: str) -> dict[str, Any]:
        document = self.session.home.read(f"grants/{grant}.json")
        if document is None or document.get("index") is None:
            raise ClientError(
                f"no consent {grant} in {self.session.home.path}; `omic consent list` shows yours"
            )
        return document

    def _refuse_twice(self, digest: str, label: str, replacing: str | None) -> None:
        for record in self.session.home.documents("datasets"):
            if record["dataset"] == replacing:
                continue
            if record["content_digest"] == digest and not record["erased"]:
                raise ClientError(
                    f"{label} is already registered as dataset {record['dataset']} "
                    f"({record['name']}); offer that one, or erase it first"
                )


def cosigned(session: Session, draft: Submission) -> Submission:
    """Return a registration with the attester's cosignature as its second signature.

    The attester's key must be one the trust file pins; its signature is checked by the ledger and
    by every follower.
    """
    answer = session.attester.cosign(submission_to_json(draft))
    signature = Signature(
        str(answer["kind"]),
        unb64(answer["public_key"]),
        tuple(unb64(part) for part in answer["parts"]),
    )
    if not session.home.trust.pins.may_attest("person_verified", fingerprint(signature.public_key)):
        raise HomeError("the attester answered with a key your trust file does not pin; stop here")
    return submission_for(cosign(draft.entry, lambda _: signature), secrets.token_bytes(32))


def _is_about(payload: Mapping[str, Any], dataset: str) -> bool:
    return payload.get("dataset") == dataset or dataset in payload.get("datasets", ())


def _manifest(ciphertext: bytes, header: bytes) -> dict[str, Any]:
    """Return what an entry says of a file's bytes as they are stored."""
    digest = hashlib.sha256(ciphertext).hexdigest()
    return {"sha256": digest, "size": len(ciphertext), "header_size": len(header)}


def _format(summary: Summary) -> dict[str, str]:
    """Return what an entry may say of a file: build, callability or namespace, never content."""
    known = summary.as_dict()
    return {name: str(known[name]) for name in _FORMAT_FIELDS if known.get(name) is not None}


def _read(source: Path | bytes, name: str) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        return source, name or "(memory)"
    try:
        return source.read_bytes(), name or str(source)
    except OSError as error:
        raise ClientError(f"cannot read {source}: {error.strerror}") from None
