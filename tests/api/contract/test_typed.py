"""Every answer of the API is typed to its leaves, so that a generated client is typed."""

import json
import re

import pytest

from api.describe import document

FREE = {"AuditRow.detail", "ModelCard.data"}  # mappings of JSON values: each action, and each card, has its own


@pytest.fixture(scope="module")
def described():
    return document()


def reachable(described):
    """The schemas of all answers, by name."""
    calls = [call for item in described["paths"].values() for call in item.values()]
    answers = [answer for call in calls for answer in call["responses"].values()]
    names, waiting = set(), re.findall(r"#/components/schemas/(\w+)", json.dumps(answers))
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting += re.findall(r"#/components/schemas/(\w+)", json.dumps(described["components"]["schemas"][name]))
    return {name: described["components"]["schemas"][name] for name in names}


def untyped(schema, place):
    """Places below a schema where anything may stand."""
    if schema == {} or (schema.get("type") == "object" and "properties" not in schema and is_open(schema)):
        yield place
    if schema.get("type") == "array" and not ({"items", "prefixItems"} & schema.keys()):
        yield place
    for name, part in schema.get("properties", {}).items():
        yield from untyped({key: value for key, value in part.items() if key != "title"}, f"{place}.{name}")
    for part in [*schema.get("anyOf", []), *schema.get("prefixItems", [])]:
        yield from untyped(part, place)
    if isinstance(schema.get("items"), dict):
        yield from untyped(schema["items"], place)


def is_open(schema):
    return schema.get("additionalProperties", True) in (True, {})


def test_response_models_contain_no_untyped_part(described):
    schemas = reachable(described)
    assert {"AnalysisOut", "ShownResults", "RegionsOut", "EvaluationOut", "ModelsOut", "Readiness"} <= schemas.keys()
    places = {place for name, schema in schemas.items() for place in untyped(schema, name)}
    assert places == {"JsonValue"}
    properties = [(name, *part) for name, schema in schemas.items() for part in schema.get("properties", {}).items()]
    assert {f"{name}.{field}" for name, field, part in properties if "JsonValue" in json.dumps(part)} == FREE


def test_every_json_answer_names_its_schema(described):
    for path, item in described["paths"].items():
        for method, call in item.items():
            for status, answer in call["responses"].items():
                schema = answer.get("content", {}).get("application/json", {}).get("schema")
                assert schema is None or "$ref" in json.dumps(schema), (method, path, status)


def test_states_are_named(described):
    schemas = reachable(described)
    for name in ("AnalysisOut", "SlideOut", "EvaluationOut", "ProfileOut", "UploadOut"):
        assert schemas[name]["properties"]["state"]["enum"], name
