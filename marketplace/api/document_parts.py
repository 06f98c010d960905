"""Parameters, bodies and headers of the OpenAPI document that no model of a body states.

A test reads the views and fails when one of them looks at a header or parameter missing here.
"""

from collections.abc import Mapping
from typing import Any

from marketplace.api.example_values import DIGEST, ID, NOW
from marketplace.api.protocol import MOST, PAGE

V1 = "/api/v1"
HEX_ID = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
STRIPE_EVENT = {
    "schema": {"type": "object"},
    "example": {"id": "evt_4211", "object": "event", "type": "checkout.session.completed"},
}
BYTES = {"schema": {"type": "string", "format": "binary"}}


def _parameter(name: str, place: str, said: str, schema: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "description": said, "schema": schema, **more}


PATH: Mapping[str, tuple[str, Any, Any]] = {
    "order_id": ("the order's id", HEX_ID, ID),
    "dataset": ("the dataset's id", HEX_ID, ID),
    "share_id": ("the share's id", HEX_ID, ID),
    "locator": ("what a way into a vault finds it by", HEX_ID, ID),
    "payout_id": ("the payout's id", HEX_ID, ID),
    "job_id": ("the job's id", HEX_ID, ID),
    "number": ("the part's number, from 0", {"type": "integer", "minimum": 0, "maximum": 4095}, 0),
    "code": ("the charity's code", {"type": "string", "pattern": "^[a-z][a-z0-9_]{1,39}$"},
             "children"),
    "credential": ("the passkey's id, base64url",
                   {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,1400}$"}, "dGhpcyBpcyBhbiBpZA"),
    "name": ("which object", {"type": "string",
                              "enum": ["result", "bundle", "auditor_bundle", "draft"]}, "result"),
}  # fmt: skip
PAGING = [
    _parameter("limit", "query", "how many at most",
               {"type": "integer", "minimum": 1, "maximum": MOST, "default": PAGE}),
    _parameter("after", "query", "the `next` of the page before",
               {"type": "string", "pattern": "^([0-9a-f]{32})?$"}),
]  # fmt: skip
IDEMPOTENCY = _parameter(
    "Idempotency-Key", "header",
    "the same key and request within a day get the first answer again",
    {"type": "string", "pattern": "^[!-~]{1,255}$"}, example="order-2026-11-27-1",
)  # fmt: skip
UNCHANGED = _parameter(
    "If-None-Match", "header", "the ETag you have; 304 while nothing changed", {"type": "string"},
    example=f'"{DIGEST[:32]}"',
)  # fmt: skip
RANGE = _parameter(
    "Range", "header", "one range of bytes, to go on where a download stopped",
    {"type": "string"}, example="bytes=0-65535",
)  # fmt: skip
_BODY_SHA256 = _parameter(
    "X-Content-SHA256", "header", "SHA-256 of the body, hex", SHA256, required=True,
    example=DIGEST,
)  # fmt: skip
_TIME = {"type": "integer", "minimum": 0}
_FACETS = {
    "type": "object", "additionalProperties": {"type": "string"},
    "maxProperties": 10,
}  # fmt: skip
PARAMETERS: Mapping[tuple[str, str], list[dict[str, Any]]] = {
    ("get", f"{V1}/catalogue"): [
        _parameter("facets", "query", "facet=value, each on its own: population=CEU", _FACETS,
                   style="form", explode=True, example={"population": "CEU"})],
    ("get", f"{V1}/orders"): PAGING,
    ("get", f"{V1}/me/datasets"): PAGING,
    ("get", f"{V1}/me/shares"): PAGING,
    ("get", f"{V1}/me/notices"): [
        _parameter("after", "query", "Unix ms: only what came later", _TIME, example=NOW)],
    **{("get", f"{V1}/me/{name}"): [
        _parameter("since", "query", "Unix ms", _TIME, example=NOW),
        _parameter("until", "query", "Unix ms, not included", _TIME, example=NOW),
    ] for name in ("statement", "statement.csv")},
    ("put", f"{V1}/me/vault"): [
        _parameter("If-Match", "header", "the ETag you last saw, so that no device is lost",
                   {"type": "string"}, example=f'"{DIGEST[:32]}"')],
    ("put", f"{V1}/uploads/{{dataset}}"): [_BODY_SHA256],
    ("put", f"{V1}/uploads/{{dataset}}/parts/{{number}}"): [_BODY_SHA256],
    ("put", f"{V1}/passport/{{share_id}}"): [
        _BODY_SHA256,
        _parameter("X-Token-SHA256", "header", "SHA-256 of the link's secret, hex", SHA256,
                   required=True, example=DIGEST)],
    ("put", "/worker/v1/jobs/{job_id}/objects/{name}"): [
        _BODY_SHA256,
        _parameter("lease", "query", "the lease the worker holds", _TIME, required=True,
                   example=1)],
    ("post", "/stripe/webhook"): [
        _parameter("Stripe-Signature", "header", "t=…,v1=…, as Stripe signs", {"type": "string"},
                   required=True, example="t=1790000000,v1=5257a869e7")],
}  # fmt: skip
# Bodies that are bytes, not JSON: what they are.
BODIES: Mapping[tuple[str, str], str] = {
    ("put", f"{V1}/uploads/{{dataset}}"): "a whole Crypt4GH file",
    ("put", f"{V1}/uploads/{{dataset}}/parts/{{number}}"): "one part of a Crypt4GH file",
    ("put", f"{V1}/passport/{{share_id}}"): "a whole Crypt4GH file",
    ("put", "/worker/v1/jobs/{job_id}/objects/{name}"): "a whole Crypt4GH file",
    ("post", "/stripe/webhook"): "the event, as Stripe signed it",
}
# Answers that are no JSON: their media type, and whether a range of them can be asked for.
FILES: Mapping[str, tuple[str, bool]] = {
    f"{V1}/me/statement.csv": ("text/csv", False),
    f"{V1}/passport/{{share_id}}": ("application/octet-stream", False),
    f"{V1}/datasets/{{dataset}}/file": ("application/octet-stream", True),
    f"{V1}/orders/{{order_id}}/objects/{{name}}": ("application/octet-stream", True),
    "/worker/v1/datasets/{dataset}/file": ("application/octet-stream", True),
}
SECURITY: Mapping[tuple[str, str], str] = {
    ("delete", f"{V1}/session"): "session",
    ("get", f"{V1}/passport/{{share_id}}"): "link",
}
# Errors beyond what every operation of its kind can answer.
_MONEY = ("orders/{order_id}/checkout", "orders/{order_id}/invoice", "me/payee/onboard",
          "operator/charities/{code}/onboard", "operator/payouts",
          "operator/payouts/{payout_id}/reverse", "operator/reconciliation")  # fmt: skip
ERRORS: Mapping[tuple[str, str], tuple[int, ...]] = {
    **{("post", f"{V1}/{name}"): (402,) for name in _MONEY},
    ("post", f"{V1}/session"): (401,),
    ("post", f"{V1}/orders"): (410,),
    ("get", f"{V1}/passport/{{share_id}}"): (410,),
    ("put", f"{V1}/passport/{{share_id}}"): (410,),
    ("post", f"{V1}/passport"): (410,),
    ("get", f"{V1}/me/vault"): (404,),
    ("put", f"{V1}/me/vault"): (412,),
}
# What an answer leads to: operation id -> where its path parameter stands in the answer.
_ORDER = ("get_v1_order", "get_v1_order_object", "post_v1_checkout", "post_v1_cancel",
          "post_earning_invoice", "get_earning_read_invoice")  # fmt: skip
_DATASET = ("get_v1_dataset_file", "get_v1_browser_list_parts", "get_rights_erasure")
LINKS: Mapping[tuple[str, str], tuple[tuple[str, ...], str, str]] = {
    ("get", f"{V1}/orders"): (_ORDER, "order_id", "/orders/0/order"),
    ("post", f"{V1}/orders"): (_ORDER, "order_id", "/order"),
    ("get", f"{V1}/me/datasets"): (_DATASET, "dataset", "/datasets/0/dataset"),
    ("put", f"{V1}/uploads/{{dataset}}"): (_DATASET, "dataset", "/dataset"),
    ("get", f"{V1}/me/passport"): (("get_rights_fetch_share",), "share_id", "/shares/0/share"),
    ("get", f"{V1}/me/passkeys"): (
        ("delete_v1_browser_remove_passkey",), "credential", "/passkeys/0/credential"),
    ("get", f"{V1}/charities"): (
        ("post_operating_onboard_charity",), "code", "/charities/0/code"),
}  # fmt: skip
ETAG = {"ETag": {"schema": {"type": "string"}, "description": "for If-None-Match and If-Match"}}
REPLAYED = {
    "Idempotency-Replayed": {
        "schema": {"type": "string", "const": "true"},
        "description": "there when this is the answer kept for the key",
    }
}
FILE_HEADERS = {
    "X-Content-SHA256": {"schema": SHA256, "description": "of the whole file"},
    "Accept-Ranges": {"schema": {"type": "string", "const": "bytes"}},
}
CONTENT_RANGE = {"Content-Range": {"schema": {"type": "string"}}}
TAGS = [
    {"name": "clients", "description": "Owners, researchers, reviewers, auditors"},
    {"name": "browsers", "description": "Browsers that hold keys: uploads in parts, vaults, "
                                        "passkeys"},
    {"name": "owners' rights", "description": "What waits for you, what is held about you, what "
                                              "you share"},
    {"name": "money", "description": "Earnings, payouts and invoices"},
    {"name": "operators", "description": "What operators do; each act is on the public ledger"},
    {"name": "workers", "description": "Compute workers, with a token of their own"},
    {"name": "payment provider", "description": "Where Stripe calls"},
]  # fmt: skip
ABOUT = """\
REST and JSON. Every error is a problem document (RFC 9457), also 404 and 405 of addresses that are
not here.

**Signing in.** POST /api/v1/session/challenge, sign what you get with a key the ledger binds to
you, POST /api/v1/session, then send the token as `Authorization: Bearer`. POST /api/v1/tokens makes
narrower tokens: `read` reaches every GET, `ask` also /dry-run and /quotes.

**Again.** GET answers have an ETag; send it as If-None-Match. A POST with an Idempotency-Key is
carried out once; PUT and DELETE may be repeated as they are. After 429 and 503 wait for the seconds
Retry-After says.

**Lists** take limit and after; `next` is the next `after`, null at the end.

Times are Unix milliseconds, amounts minor units of a currency, ids 32 hex digits.
"""
