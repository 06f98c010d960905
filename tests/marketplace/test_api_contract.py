"""The OpenAPI document holds: schemathesis finds no 5xx and no answer the document does not state.

In process over WSGI, for every operation and as every role. Money addresses reach the development
Stripe server; nothing leaves this machine.
"""

import itertools
import re
import warnings
from pathlib import Path

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import marketplace.api
from marketplace import view
from marketplace.api.example_values import EXAMPLES
from marketplace.errors import MarketError
from tests.marketplace.market_world import WORKER_TOKEN, World

EXAMPLES_EACH = 6
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_schema_conformance,
]  # fmt: skip
FEW = settings(
    max_examples=EXAMPLES_EACH, deadline=None, database=None, derandomize=True,
    phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck),
)  # fmt: skip

ROWS = settings(FEW, max_examples=30, stateful_step_count=6)

ROLES = ["owner", "researcher", "reviewer", "operator", "worker", "nobody"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    view.WAIT_SECONDS, waited = 0.1, view.WAIT_SECONDS  # for entries that never come
    made = World(tmp_path_factory.mktemp("contract"))
    owner, researcher = made.owner(), made.researcher()
    made.people = {
        "owner": owner.auth,
        "researcher": researcher.auth,
        "reviewer": made.reviewer().auth,
        "operator": made.sign_in(made.operators[0]).auth,
        "worker": {"Authorization": f"Bearer {WORKER_TOKEN}"},
        "nobody": {},
    }
    # What is there: an id drawn by chance is answered 404 and shows nothing more.
    made.there = {"dataset": owner.dataset, "order_id": made.place(researcher), "number": 0}
    made.order_fields = made.quote(researcher)
    yield made
    made.close()
    view.WAIT_SECONDS = waited


@pytest.fixture(scope="module")
def document(world):
    return world.http.get("/openapi.json").json


def operations(world):
    schema = schemathesis.openapi.from_wsgi("/openapi.json", world.app)
    return [found.ok() for found in schema.get_all_operations()]


def kept_sessions(operation):
    """Whether it leaves the sessions of the test alone."""
    return operation.label != "DELETE /api/v1/session"


def checked(case, failed):
    """Send a case; note what the document does not state."""
    response = case.call()
    try:
        case.validate_response(response, checks=CHECKS)
    except BaseExceptionGroup as problem:
        failed[case.operation.label] = (
            response.status_code, str(problem.exceptions[0])[:300], response.content[:200]
        )  # fmt: skip
    return response


@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", ROLES)
def test_no_5xx_and_no_undocumented_answer(world, role):
    headers, failed, turns = world.people[role], {}, itertools.cycle([True, False])
    warnings.simplefilter("ignore")
    for operation in filter(kept_sessions, operations(world)):

        def run(case):
            case.headers = {**(case.headers or {}), **headers}
            if next(turns):
                found = {n: world.there[n] for n in case.path_parameters or {} if n in world.there}
                case.path_parameters = {**(case.path_parameters or {}), **found}
            checked(case, failed)

        FEW(given(case=operation.as_strategy())(run))()
    assert not failed


def documented_call(operation, there):
    """Return the case made of the document's own examples, about what is there."""
    spec, paths, query, headers = operation.definition.raw, {}, {}, {}
    for one in spec.get("parameters", []):
        place = {"path": paths, "query": query, "header": headers}[one["in"]]
        value = there.get(one["name"], one.get("example"))
        if one.get("explode"):
            place.update(value)
        elif value is not None and one["name"] != "Range":
            place[one["name"]] = value
    ((media, body),) = spec.get("requestBody", {"content": {"": {}}})["content"].items()
    more = {"body": body["example"], "media_type": media} if "example" in body else {}
    return operation.Case(path_parameters=paths, query=query, headers=headers, **more)


def test_every_documented_call_is_understood_as_it_stands(world):
    """An example may name what is not here, but is never malformed."""
    answers, failed = {}, {}
    for operation in filter(kept_sessions, operations(world)):
        security = operation.definition.raw.get("security", [{}])[0]
        for role in ROLES[:4] if "session" in security else ["worker"]:
            case = documented_call(operation, world.there)
            case.headers = {**case.headers, **world.people[role]}
            for name in ("If-None-Match", "If-Match", "Idempotency-Key"):
                case.headers.pop(name, None)
            answers[operation.label, role] = checked(case, failed).status_code
    assert not failed
    malformed = {name for (name, role), status in answers.items() if status in (400, 415)}
    # What is signed or made by a browser cannot be an example, nor can a file and its digest.
    assert malformed <= {
        "POST /api/v1/stops", "POST /api/v1/me/passkeys", "POST /stripe/webhook",
        "POST /api/v1/passport", "PUT /api/v1/passport/{share_id}",
    }  # fmt: skip
    good = {name for (name, role), status in answers.items() if status < 300}
    assert {"POST /api/v1/dry-run", "POST /api/v1/tokens", "GET /api/v1/orders/{order_id}",
            "GET /api/v1/datasets/{dataset}/file", "GET /api/v1/catalogue",
            "POST /api/v1/terms/would-allow", "PUT /api/v1/me/vault"} <= good  # fmt: skip
    assert len(good) > 35


@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", ["owner", "researcher"])
def test_calls_in_a_row_meet_no_5xx_and_no_undocumented_answer(world, role):
    """Stateful: what one operation answers goes into the next, as its schemas say."""
    schema = schemathesis.openapi.from_wsgi("/openapi.json", world.app)
    kept = schema.exclude(path="/api/v1/session").exclude(tag="workers")
    seen = set()

    class Rows(kept.as_state_machine()):
        def before_call(self, case):
            case.headers = {**(case.headers or {}), **world.people[role]}

        def validate_response(self, response, case, **_):
            seen.add(case.operation.label)
            case.validate_response(response, checks=CHECKS)

    Rows.run(settings=ROWS)
    assert len(seen) > 10
    assert any("{" in label for label in seen), seen


def media_of(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            bodies = [operation.get("requestBody", {})]
            bodies += [r for status, r in operation["responses"].items() if status.startswith("2")]
            for body in bodies:
                for kind, media in body.get("content", {}).items():
                    if "json" in kind:
                        yield f"{method} {path}", media


def test_every_json_body_has_an_example_that_fits_its_schema(document):
    seen = 0
    for where, media in media_of(document):
        schema = {**media["schema"], "components": document["components"]}
        wrong = list(jsonschema.Draft202012Validator(schema).iter_errors(media["example"]))
        assert not wrong, (where, wrong[0].message)
        assert media["example"], where
        seen += 1
    assert seen > 80
    assert set(EXAMPLES) <= set(document["components"]["schemas"])


def test_operations_state_their_errors_each_with_an_example_and_no_catch_all(document):
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert "default" not in operation["responses"], path
            assert {"400", "429", "500", "503"} <= set(operation["responses"]), path
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert response == {"$ref": f"#/components/responses/Problem{status}"}
    for name, response in document["components"]["responses"].items():
        examples = response["content"]["application/problem+json"]["examples"]
        assert {one["value"]["status"] for one in examples.values()} == {int(name[-3:])}


def test_every_kind_of_error_is_documented(document):
    def kinds(base):
        mine = {base.slug} if base.status != 500 else set()
        return mine.union(*map(kinds, base.__subclasses__()))

    told = {slug for one in document["components"]["responses"].values()
            for slug in one["content"]["application/problem+json"]["examples"]}  # fmt: skip
    assert kinds(MarketError) <= told
    assert not {"configuration", "book"} & told


def test_every_header_and_parameter_a_view_looks_at_is_documented(document):
    code = "".join(path.read_text() for path in Path(marketplace.api.__file__).parent.glob("*.py"))
    looked_at = set(re.findall(r'request\.(?:headers|args)\.get\(\s*"([\w-]+)"', code))
    looked_at |= set(re.findall(r'whole_number\("(\w+)"', code))
    told = {one["name"] for methods in document["paths"].values() for operation in methods.values()
            for one in operation["parameters"]}  # fmt: skip
    # Authorization is stated as security; Origin is the browser's own.
    assert looked_at - {"Authorization", "Origin"} == told & looked_at
    assert {"X-Content-SHA256", "If-Match", "Stripe-Signature", "since", "lease"} <= looked_at


def test_operations_are_in_groups_that_are_explained(document):
    told = {one["name"] for one in document["tags"] if one["description"]}
    used = [one["tags"] for m in document["paths"].values() for one in m.values()]
    assert {tag for tags in used for tag in tags} == told
    assert all(len(tags) == 1 for tags in used)


def test_operations_have_names_of_their_own(document):
    names = [one["operationId"] for m in document["paths"].values() for one in m.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names)
