"""The OpenAPI document holds: schemathesis finds no 5xx and no answer the document does not state.

In process over WSGI, for every operation and as every role. Money addresses reach the development
Stripe server; nothing leaves this machine.
"""

import json
import warnings

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

from marketplace.api.examples import EXAMPLES
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


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("contract"))
    made.people = {
        "owner": made.owner().auth,
        "researcher": made.researcher().auth,
        "reviewer": made.reviewer().auth,
        "worker": {"Authorization": f"Bearer {WORKER_TOKEN}"},
        "nobody": {},
    }
    yield made
    made.close()


@pytest.fixture(scope="module")
def document(world):
    return world.http.get("/openapi.json").json


def operations(world):
    schema = schemathesis.openapi.from_wsgi("/openapi.json", world.app)
    return [found.ok() for found in schema.get_all_operations()]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", ["owner", "researcher", "reviewer", "worker", "nobody"])
def test_no_5xx_and_no_undocumented_answer(world, role):
    headers, failed = world.people[role], []
    warnings.simplefilter("ignore")
    for operation in operations(world):

        def run(case):
            case.headers = {**(case.headers or {}), **headers}
            response = case.call()
            try:
                case.validate_response(response, checks=CHECKS)
            except BaseExceptionGroup as problem:
                failed.append((operation.label, response.status_code, str(problem.exceptions[0])[:300],
                               response.content[:200]))  # fmt: skip

        FEW(given(case=operation.as_strategy())(run))()
    assert not failed, [*{one[0]: one for one in failed}.values()]


def media_of(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            bodies = [operation.get("requestBody", {})]
            bodies += [r for status, r in operation["responses"].items() if status.startswith("2")]
            for body in bodies:
                for media in body.get("content", {}).values():
                    if media.get("schema"):
                        yield f"{method} {path}", media


def test_every_json_body_has_an_example_that_fits_its_schema(document):
    seen = 0
    for where, media in media_of(document):
        schema = {**media["schema"], "components": document["components"]}
        wrong = list(jsonschema.Draft202012Validator(schema).iter_errors(media["example"]))
        assert not wrong, (where, wrong[0].message)
        seen += 1
    assert seen > 80
    assert set(EXAMPLES) <= set(document["components"]["schemas"])


def test_operations_state_their_errors_and_no_catch_all(document):
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert "default" not in operation["responses"], path
            assert {"400", "429", "503"} <= set(operation["responses"]), path
    assert json.dumps(document).count("application/problem+json") > 300
