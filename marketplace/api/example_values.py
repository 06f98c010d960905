"""Values worth showing in the OpenAPI document: by field name, and by model where that needs more.

A test holds each example against its schema, and lets none be empty.
"""

from collections.abc import Mapping
from typing import Any

ID, DIGEST = "3f9c1e7a5b2d48608c4e9a1b7d5f2c30", "9f86d081884c7d659a2feaa0c55ad015" * 2
OTHER_ID = "b6341caafdb400e3bc9d483d2e484dd5"
B64, TOKEN = "c2lnbmVkIGJ5IGEga2V5IG9mIHlvdXJz", "kX2vJ9mQpR7sT4uW1yZ8aB3cD6eF0gH5iL"
NOW = 1_790_000_000_000
QUERY = {
    "v": 1, "family": "genotype_counts", "version": 1, "build": "GRCh37",
    "params": {"variants": {"region": "22:17000000-17500000"}, "by": "population"},
}  # fmt: skip
PURPOSE = {"primary": "HMB", "commercial": False, "project": "Blood pressure and chromosome 22"}
SCOPE = {"modalities": ["genotypes", "participant"], "build": "GRCh37",
         "facets": {"population": ["CEU"]}, "region": "local"}  # fmt: skip
RELEASE = {"mode": "trusted", "rho": "0"}
ITEM = {"kind": "data", "modality": "genotypes", "people": "50-99", "people_priced": 99,
        "weight": 3, "unit": 50, "rate": "1", "amount": 14850}  # fmt: skip
ITEMS = [ITEM, {"kind": "compute", "amount": 500},
         {"kind": "platform", "percent": 10, "amount": 1485}]  # fmt: skip
ASK = {"purpose": PURPOSE, "query": QUERY, "scope": SCOPE, "release": RELEASE, "currency": "gbp"}
TRAIT_QUERY = {
    "v": 1, "family": "linear_association", "version": 1, "build": "GRCh37",
    "params": {"trait": {"kind": "covariate", "name": "height"},
               "variants": {"region": "22:17000000-17500000"}},
}  # fmt: skip
ORDER_FIELDS = {
    "purpose": PURPOSE, "query": QUERY, "scope": SCOPE, "release": RELEASE,
    "query_digest": DIGEST, "code_digest": DIGEST, "price": {"amount": 16835, "currency": "gbp"},
    "quote": ID, "quote_sha256": DIGEST, "undertaking": "no-reidentification/1",
}  # fmt: skip
HISTORY = [
    {"at": NOW, "event": "place", "from": "quoted", "to": "awaiting_payment", "index": 4211,
     "reason": None},
    {"at": NOW + 60_000, "event": "pay", "from": "awaiting_payment", "to": "funded", "index": 4212,
     "reason": None},
]  # fmt: skip
TERMS = {
    "v": 1, "permissions": ["DUO:0000042"], "diseases": [],
    "modifiers": [{"id": "DUO:0000018", "parameters": {}}],
    "flags": {"no_insurers": True, "no_employers": True, "no_ai_training": True,
              "no_reidentification": True},
    "prices": {"non_profit_research": 200, "commercial_research": "never", "methods": 0,
               "clinical_care": "never"},
    "currency": "gbp", "query_families": ["*"], "regions": ["*"],
    "release": {"mode": "private", "lifetime_rho": "1/10", "order_share": "1/5",
                "exact_statistics": 10_000_000},
    "valid_from": NOW, "valid_until": None,
}  # fmt: skip
CREDENTIAL = {
    "id": "dGhpcyBpcyBhbiBpZA", "rawId": "dGhpcyBpcyBhbiBpZA", "type": "public-key",
    "response": {"clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIn0",
                 "attestationObject": "o2NmbXRkbm9uZQ"},
    "clientExtensionResults": {"credProps": {"rk": True}},
}  # fmt: skip
PAID = {"at": NOW, "kind": "paid", "state": "received", "by": "card", "amount": 16835, "tax": 0,
        "currency": "gbp", "reason": None,
        "receipt_url": "https://pay.stripe.com/receipts/4211"}  # fmt: skip
BATCH = {"batch": ID, "period": "2026-11", "currency": "gbp", "state": "sent", "created_at": NOW,
         "by_state": {"sent": {"payouts": 41, "amount": 98_300, "reversed": 0}}}  # fmt: skip
RUN = {
    "at": NOW, "ok": False,
    "closed": [{"kind": "payment_without_event", "order": ID, "did": "the event was fetched"}],
    "open": [{"kind": "refund_differs", "order": OTHER_ID}],
    "totals": {"gbp": {"received": 98_300, "refunded": 3_223}},
}  # fmt: skip
EXAMPLES: Mapping[str, Any] = {
    "AskIn": {**ASK, "query": TRAIT_QUERY, "assumed_maf": "1/100", "assumed_sd": "9.5"},
    "TokenIn": {"scopes": ["read"], "minutes": 60},
    "ResolveIn": {"names": ["rs12628", "BRCA2"], "build": "GRCh37", "chain": None},
    "ResolveOut": {
        "build": "GRCh37",
        "names": [{"asked": "rs12628", "kind": "rsid", "problem": "", "region": None,
                   "variants": ["11-534242-A-G"]}],
        "variants": ["11-534242-A-G"], "regions": ["13:32889611-32973805"],
        "lifted": [{"asked": "11-534242-A-G", "variant": "11-534242-A-G", "problem": ""}],
    },
    "CatalogueOut": {
        "people": "100-199",
        "modalities": {"genotypes": "100-199", "expression": "50-99"},
        "facets": {"population": {"CEU": "50-99", "YRI": "50-99"}},
    },
    "DryRunOut": {
        "people": "50-99", "left_out": {"purpose": "20-49"}, "other_builds": {"GRCh38": "20-49"},
        "match": None, "price": 16835, "currency": "gbp", "items": ITEMS,
        "expected_error": {
            "kind": "exact", "useful": True, "people_assumed": 50, "maf_assumed": "1/100",
            "sd_assumed": "9.5", "statistic": "beta", "noise_sd": 0.0, "sampling_sd": 9.548,
            "se": 9.548,
            "suppressed": "of variants of this frequency about 63 % hide allele counts and "
            "effects, 63 % genotype counts",
        },
    },
    "CharitiesOut": {"charities": [{"code": "children", "name": "A children's charity",
                                    "ready": True}]},
    "ChallengeOut": {"challenge": B64},
    "HeartbeatIn": {"lease": 1, "progress": {"step": "summing", "done": 3, "total": 8}},
    "HeartbeatOut": {"stops": [{"payload_type": "application/vnd.omic.consent.withdrawn+json",
                                "payload": B64}], "cancel": False},
    "JobOut": {"job_id": ID, "kind": "query", "order": OTHER_ID, "attempt": 1, "lease": 1,
               "lease_ms": 60_000},
    "JwksOut": {"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig",
                          "kid": "2026-11", "x": "TCpAfEN65VEcmkTkH4Nvjhe6Yh752Ad5bRcQnSwYFKQ",
                          "y": "tPq55loNuyINmNiNR3uNogrAUFgKAmQE7cJdNbXL9k8"}]},
    "LeaseIn": {"worker": "worker-1"},
    "MyDatasetsOut": {"next": None, "datasets": [
        {"dataset": ID, "modality": "genotypes", "state": "registered", "index": 14,
         "uploaded": True, "compute": "ingested", "compute_at": NOW}]},
    "NoticesOut": {"notices": [{"kind": "approval", "at": NOW, "about": ID,
                                "text": "a request waits for your yes"}]},
    "OutcomeIn": {"lease": 1, "outcome": {"state": "refused", "code": "below_floor"}},
    "PasskeyIn": {"credential": CREDENTIAL},
    "SharesGivenOut": {"shares": [
        {"share": ID, "dataset": OTHER_ID, "part": False, "valid_until": NOW, "status": "open",
         "fetches": 1, "fetched_at": NOW}]},
    "StopOut": {"entry": ID, "state": "pending", "index": None},
    "StopIn": {
        "payload_type": "application/vnd.omic.consent.withdrawn+json", "payload": B64, "salt": B64,
        "signatures": [{"kind": "ed25519", "public_key": B64, "parts": [B64]}],
        "attachments": {"sealed_grant": B64},
    },
    "WouldAllowOut": {"examples": [{"who": "a university", "for": "research on heart disease",
                                    "says": "yes"}]},
}  # fmt: skip
FIELDS: Mapping[str, Any] = {
    "progress": {"step": "summing", "done": 3, "total": 8}, "next": ID,
    "query": QUERY, "purpose": PURPOSE, "scope": SCOPE, "release": RELEASE, "items": ITEMS,
    "currency": "gbp", "size": 2_418_000, "amount": 16_835, "total": 16_835, "price": 16_835,
    "state": "running", "modality": "genotypes", "role": "owner", "build": "GRCh37",
    "country": "GB", "charity": "children", "charity_name": "A children's charity",
    "code": "children", "name": "A children's charity", "at": NOW,
    "visa": "eyJhbGciOiJFUzI1NiJ9.e30.c2ln",
    "purchase_order": "PO-2026-17", "region": "local", "kind": "code", "mode": "charity",
    "index": 4_211, "settlement_index": 4_310, "access": OTHER_ID, "reason": None, "match": None,
    "url": "https://market.example/orders/page", "token": TOKEN, "share": ID, "holder": None,
    "objects": ["result", "bundle"], "test_money": True, "ledger_size": 4_512, "why": None,
    "orders": {"settled": 12, "running": 1}, "scopes": ["read"], "jobs": {"query.done": 13},
    "outbox": {"pending": 0}, "undecidable": None, "history": HISTORY, "money": [PAID],
    "batches": [BATCH], "runs": [RUN], "closed": RUN["closed"], "open": RUN["open"],
    "transfers": [{"action": "bank.received", "invoice": "INV-4211", "purchase_order": "PO-2026-17",
                   "details": {"amount": 16_835, "currency": "gbp"}, "stated": 1, "needed": 2}],
    "totals": {"gbp": {"earned": 207}}, "balances": {"gbp": 207}, "minimum": {"gbp": 2_000},
    "lines": [{"about": ID, "amount": 207, "at": NOW, "balance": 207, "currency": "gbp",
               "index": 4_310, "kind": "earned"}],
    "payouts": [{"payout": ID, "batch": OTHER_ID, "period": "2026-11", "amount": 2_418,
                 "reversed": 0, "currency": "gbp", "state": "sent", "at": NOW, "index": 4_400}],
    "left_out": {"purpose": "20-49"}, "other_builds": {"GRCh38": "20-49"},
    "order_fields": ORDER_FIELDS,
    "body": {"v": 1, "currency": "gbp", "total": 16_835, "order_fields": ORDER_FIELDS},
    "credential": "dGhpcyBpcyBhbiBpZA", "key_id": "bc54a0c45be2774f8ee23f23fb0893bd",
    "ciphertext": "erased", "researcher": "a university", "attested": {"sector": "academic"},
    "declared": PURPOSE, "reasons": [{"code": "project", "text": "you asked to see each project"}],
    "tables": {"datasets": [{"dataset": ID, "state": "active"}]},
    "entries": {"consent.granted/1": {"visibility": "personal", "signed_by": "dataset"}},
    "processors": {"Stripe": "payments"}, "controllers": {"the owners themselves": "50-99"},
    "custodians": {"a biobank": "20-49"}, "regions_of_storage": {"local": "50-99"},
    "regions_of_compute": ["local"], "undescribed": [], "mine": None, "needed": 2,
    "references": [{"kind": "chain", "name": "GRCh37 to GRCh38", "sha256": DIGEST, "size": 227698}],
    "terms": TERMS, "session_id": "cs_test_4211", "by": "card", "billed_to": "A university",
    "payee": "Omic Market", "address": "1 Example Street", "bank": "GB00 EXMP 0000 0000 0000 00",
    "tax_id": None, "page": "https://market.example/orders/page", "invoice": "INV-4211",
    "options": {"challenge": "Y2hhbGxlbmdl", "rp": {"id": "market.example", "name": "Omic Market"}},
    "wraps": [{"kind": "code", "box": B64, "locator": ID}], "draft_commitment": DIGEST,
    "challenge": B64, "public_key": B64, "signature": B64, "box": B64, "salt": B64, "header": B64,
}  # fmt: skip
