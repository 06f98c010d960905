"""What a researcher does: enrol, rehearse, ask for a price, order, pay, and open the answer.

The researcher's own key signs purpose, project, query and the key the answer is encrypted to;
compute encrypts to that key only, so neither marketplace nor ledger ever sees a plaintext answer.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from compute import ComputeError, Purpose, Scope, made_up_answer, verify_bundle
from compute.crypt import decrypt_file
from compute.queries import (
    QueryError,
    code_digest,
    filters_of_text,
    parse_query,
    query_digest,
    query_value,
)
from ledger import Submission, TrustPolicy, b64
from marketplace.client.errors import ClientError
from marketplace.client.owner import cosigned
from marketplace.client.session import Session
from marketplace.client.statements import append, drafted, new_id, now_ms, stated

UNDERTAKING = "no-reidentification/1"
FOLLOW_SECONDS = 30.0
POLL_SECONDS = (0.1, 0.5)  # at first, and later
FINAL_STATES = frozenset({"settled", "refunded", "cancelled", "expired", "refused"})


@dataclass(frozen=True, slots=True)
class Request:
    """What a researcher asks: who for, what, of whom, and how it may be released."""

    purpose: Purpose
    query: Mapping[str, Any]
    scope: Scope
    release: Mapping[str, str]
    currency: str = "gbp"

    def asked(self) -> dict[str, Any]:
        """Return what is asked of the marketplace: the order's own parts, and in what money."""
        return {**self.to_json(), "currency": self.currency}

    def to_json(self) -> dict[str, Any]:
        return {
            "purpose": self.purpose.to_dict(),
            "query": query_value(parse_query(self.query)),
            "scope": self.scope.to_dict(),
            "release": dict(self.release),
        }


def made_up(request: Request) -> dict[str, list[Any]]:
    """Return the columns an answer would have, over made-up people, made here. Raises ClientError.

    Private requests show the noise their rho would add.
    """
    private = request.release.get("mode") == "private"
    try:
        rho = Fraction(str(request.release.get("rho"))) if private else None
        return dict(made_up_answer(parse_query(request.query), rho))
    except (ComputeError, ValueError, ZeroDivisionError) as error:
        raise ClientError(f"this request cannot be previewed: {error}") from None


def matching(request: Mapping[str, Any], *lines: str) -> dict[str, Any]:
    """Return a request that counts those of its scope of whom every line holds as well.

    lines: filters such as "has HP:0001250", "number height 150..180", "sex female". They are judged
    on encrypted data inside compute; what they are judged on joins the scope's modalities, so that
    its owners are asked, paid and charged for it. Raises ClientError naming the line.
    """
    try:
        query, scope = dict(request["query"]), dict(request["scope"])
        before = query["params"].get("match") or []
        query["params"] = {
            **query["params"], "match": [*before, *filters_of_text("\n".join(lines))]
        }  # fmt: skip
        needed = sorted(parse_query(query).modalities - set(scope["modalities"]))
    except QueryError as error:
        raise ClientError(f"this match cannot be asked: {error}") from None
    except (KeyError, TypeError, AttributeError):
        raise ClientError("this is not a request; see `omic order template`") from None
    scope["modalities"] = [*scope["modalities"], *needed]
    return {**request, "query": query, "scope": scope}


@dataclass(frozen=True, slots=True)
class Answer:
    """A decrypted answer: the result document and the public bundle that proves it."""

    result: dict[str, Any]
    result_bytes: bytes
    bundle: bytes


@dataclass(frozen=True, slots=True)
class Researcher:
    """The verbs of one researcher, on one session."""

    session: Session

    def enrol(self, role: str = "researcher") -> Submission:
        """Return this party's public registration, cosigned by the attester (not yet posted)."""
        home = self.session.home
        sign, encrypt = home.keys.signing(), home.keys.encryption()
        fields = {
            "party": home.party,
            "role": role,
            "keys": [
                {"public_key": b64(sign.public), "kind": "ed25519", "use": "sign"},
                {"public_key": b64(encrypt.public), "kind": "x25519", "use": "encrypt"},
            ],
        }
        return cosigned(self.session, drafted("party.registered", fields, sign))

    def join(self, claims: Mapping[str, Any], role: str = "researcher") -> int:
        """Register, and ask the attester for claims; return the index of its statement."""
        append(self.session.ledger, self.session.home, [self.enrol(role)])
        index = self.session.attester.attest(self.session.home.party, role, claims)
        known = self.session.home.read("attestations.json") or {"indexes": []}
        self.session.home.write("attestations.json", {"indexes": [*known["indexes"], index]})
        self._until_followed(index)
        return index

    def _until_followed(self, index: int) -> None:
        """Wait until the marketplace has read the ledger so far: a price rests on our claims."""
        deadline = time.monotonic() + FOLLOW_SECONDS
        while int(self.session.market.get("/status")["ledger_size"]) <= index:
            if time.monotonic() > deadline:
                raise ClientError(
                    f"enrolled in ledger entry {index}, but the marketplace has not read that far "
                    f"in {FOLLOW_SECONDS:.0f} s; ask for prices later"
                )
            time.sleep(0.05)

    def references(self) -> list[dict[str, Any]]:
        """Return the operator's reference files: kind, name, sha256, size."""
        found: list[dict[str, Any]] = self.session.market.get("/references")["references"]
        return found

    def resolve(self, names: list[str], build: str, chain: str | None = None) -> dict[str, Any]:
        """Return what names stand for on a build, and with a chain where that lies lifted; free."""
        body = {"names": names, "build": build, **({"chain": chain} if chain else {})}
        answer: dict[str, Any] = self.session.market.post("/variants/resolve", body)
        return answer

    def dry_run(
        self, request: Request, maf: str | None = None, sd: str | None = None
    ) -> dict[str, Any]:
        """Return people (a bucket), who was left out and why, price and expected error; free.

        maf: the minor allele frequency or prevalence to expect the error at, as a fraction. sd: the
        standard deviation to expect of the value measured, in its own unit.
        """
        body = {**request.asked(), **_assuming(maf, sd)}
        answer: dict[str, Any] = self.session.market.post("/dry-run", body)
        return answer

    def quote(
        self, request: Request, maf: str | None = None, sd: str | None = None
    ) -> dict[str, Any]:
        """Return an itemised price, valid for a while; refused where noise would drown the answer.

        maf, sd: what is expected of it, as in `dry_run`; neither becomes part of the order.
        """
        body = {**request.asked(), **_assuming(maf, sd)}
        answer: dict[str, Any] = self.session.market.post("/quotes", body)
        return answer

    def order(self, request: Request, quote: Mapping[str, Any]) -> str:
        """Sign and place the order a quote names; return its id. Nothing is paid yet.

        Raises ClientError for a quote past its time, before anything is signed.
        """
        if now_ms() >= int(quote["valid_until"]):
            raise ClientError(f"the quote {quote['quote']} is past its time; ask for a new one")
        home = self.session.home
        query = parse_query(request.query)
        attestations = (home.read("attestations.json") or {"indexes": []})["indexes"]
        fields = {
            "order": new_id(),
            "researcher": home.party,
            **request.to_json(),
            "query_digest": query_digest(query),
            "code_digest": code_digest(query),
            "price": {"amount": quote["total"], "currency": quote["currency"]},
            "quote": quote["quote"],
            "quote_sha256": quote["sha256"],
            "undertaking": UNDERTAKING,
            "result_key": b64(home.keys.encryption().public),
            "attestations": attestations,
        }
        placed = stated("order.placed", fields, home.keys.signing())
        (done,) = append(self.session.ledger, home, [placed])
        self.session.market.post("/orders", {"quote": quote["quote"], "index": done.index})
        order = str(fields["order"])
        home.write(f"orders/{order}.json", {"order": order, "index": done.index, "fields": fields})
        return order

    def checkout(self, order: str) -> dict[str, Any]:
        """Return where to pay: {"url", "session_id"}."""
        answer: dict[str, Any] = self.session.market.post(f"/orders/{order}/checkout")
        return answer

    def invoice(self, order: str, purchase_order: str) -> dict[str, Any]:
        """Ask to pay an order by bank transfer; return its invoice."""
        body = {"purchase_order": purchase_order}
        answer: dict[str, Any] = self.session.market.post(f"/orders/{order}/invoice", body)
        return answer

    def cancel(self, order: str) -> dict[str, Any]:
        """Cancel an order that was not approved yet; return it. What was paid goes back."""
        answer: dict[str, Any] = self.session.market.post(f"/orders/{order}/cancel")
        return answer

    def orders(self) -> list[dict[str, Any]]:
        """Return this researcher's orders, newest first."""
        return self.session.market.listed("/orders", "orders")

    def status(self, order: str) -> dict[str, Any]:
        """Return the order as the marketplace shows it."""
        answer: dict[str, Any] = self.session.market.get(f"/orders/{order}")
        return answer

    def wait(
        self,
        order: str,
        *,
        until: frozenset[str] = FINAL_STATES,
        timeout: float = 600.0,
        progress: Callable[[str], None] = lambda text: None,
        parts: Callable[[int, int | None], None] = lambda done, total: None,
    ) -> dict[str, Any]:
        """Poll an order until it reaches one of the states; ClientError when time is up.

        progress: called with the state, and how far its worker is: "running: summing 2 of 8".
        parts: called with how many parts are done of how many, None while nobody knows.
        """
        deadline, pause = time.monotonic() + timeout, POLL_SECONDS[0]
        while time.monotonic() < deadline:
            status = self.status(order)
            progress(standing(status))
            told = status.get("progress") or {}
            parts(int(told.get("done", 0)), told.get("total") or None)
            if status["state"] in until:
                return status
            time.sleep(pause)
            pause = min(POLL_SECONDS[1], 1.5 * pause)
        raise ClientError(
            f"order {order} is still {status['state']} after {timeout:.0f} s{_why(status)}; "
            "it goes on by itself, ask again with `omic order show`"
        )

    def answer(self, order: str) -> Answer:
        """Fetch and open the answer with this home's key, and check that it is what was asked.

        Raises ClientError when its proof does not hold: anybody can encrypt a file to this key.
        """
        market, key = self.session.market, self.session.home.keys.encryption()
        sealed = market.download(f"/orders/{order}/objects/result")
        opened = decrypt_file(sealed, key.secret)
        bundle = decrypt_file(market.download(f"/orders/{order}/objects/bundle"), key.secret)
        return proved(order, opened, bundle, self.session.home.trust)


def proved(order: str, result: bytes, bundle: bytes, trust: TrustPolicy) -> Answer:
    """Return an answer whose bundle holds, is of this order, and proves this very result.

    Raises ClientError for any other: it is not to be used.
    """
    report = verify_bundle(bundle, trust, now_ms())
    if not report.ok:
        raise ClientError(f"do not use this answer to order {order}. {report.verdict}")
    shown, proven = json.loads(result), json.loads(bundle)
    if proven["order"] != order or shown != proven["result"]:
        raise ClientError(
            f"do not use this answer to order {order}: its proof is of another answer; "
            "fetch it again, and tell the market's operator if that is no better"
        )
    return Answer(shown, result, bundle)


def _assuming(maf: str | None, sd: str | None) -> dict[str, str]:
    given = {"assumed_maf": maf, "assumed_sd": sd}
    return {name: text for name, text in given.items() if text}


def _why(status: Mapping[str, Any]) -> str:
    """Say what an order waits for where that is people, and not a machine."""
    waits = {
        "awaiting_payment": "to be paid",
        "needs_owners": "for owners to say yes",
        "releasing": "for two output reviewers, if its answer is exact",
    }
    waited = waits.get(str(status["state"]))
    return f", waiting {waited}" if waited else ""


def standing(status: Mapping[str, Any]) -> str:
    """Say in a few words where an order stands, and how far its worker is."""
    told = status.get("progress")
    if not told:
        return str(status["state"])
    of = f" {told['done']} of {told['total']} parts" if told["total"] else ""
    return f"{status['state']}: {told['step']}{of}"
