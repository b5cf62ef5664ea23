"""Dashboards and monitors held against the models of Datadog's own API client, word for word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from metta_checks.board.findings import Finding, Rule

HOW_TO_GET: Final = "pip install 'metta-checks[board]'"

_DISCRIMINATORS: Final = ("type", "data_source", "response_format")
"""Fields whose value says which of several models is meant."""


_MISSING: Final = re.compile(r"missing \d+ required positional arguments?: (.+)")


class MissingClientError(Exception):
    """The API client is not installed; the text says how to get it."""


def dashboard_findings(document: Mapping[str, Any]) -> Iterator[Finding]:
    """What the client does not know in a dashboard. Raises MissingClientError."""
    _require_client()
    from datadog_api_client.v1.model.dashboard import Dashboard

    yield from _findings(document, Dashboard, "")


def monitor_findings(document: Mapping[str, Any]) -> Iterator[Finding]:
    """What the client does not know in a monitor. Raises MissingClientError."""
    _require_client()
    from datadog_api_client.v1.model.monitor import Monitor

    yield from _findings(document, Monitor, "")


def _require_client() -> None:
    try:
        import datadog_api_client  # noqa: F401
    except ImportError:
        raise MissingClientError(f"the linter needs Datadog's API client: {HOW_TO_GET}") from None


def _findings(value: Any, model: Any, place: str) -> Iterator[Finding]:
    """Faults of `value` as the client loads it; where it loads, faults of its parts.

    The client keeps what it does not know, as an unparsed object or as an additional property, instead of refusing it.
    So each level is looked at by itself, and a fault is told at the deepest one.
    """
    from datadog_api_client.model_utils import ModelComposed, ModelNormal, ModelSimple

    if isinstance(model, list):
        if not isinstance(value, list):
            yield Finding(Rule.MODEL, place, "this has to be a list")
            return
        for position, item in enumerate(value):
            yield from _findings(item, model[0], f"{place}[{position}]")
    elif issubclass(model, ModelComposed):
        yield from _of_composed(value, model, place)
    elif issubclass(model, ModelSimple):
        if model.allowed_values and value not in tuple(model.allowed_values):
            known = ", ".join(sorted(map(str, model.allowed_values)))
            yield Finding(Rule.MODEL, place, f"{value!r} is none of {known}")
    elif issubclass(model, ModelNormal):
        yield from _of_object(value, model, place)


def _of_object(value: Any, model: Any, place: str) -> Iterator[Finding]:
    if not isinstance(value, dict):
        yield Finding(Rule.MODEL, place, f"this has to be an object, {model.__name__}")
        return
    attributes = {json_name: attribute for attribute, json_name in model.attribute_map.items()}
    limited = model.validations
    inner: list[Finding] = []
    itself = dict(value)
    for key, part in value.items():
        where = f"{place}.{key}" if place else key
        if key not in attributes:
            inner.append(Finding(Rule.MODEL, where, f"{model.__name__} has no such field"))
        elif part is not None:
            types = model.openapi_types[attributes[key]]
            inner += _of_types(part, types, where)
            if isinstance(part, list) and attributes[key] not in limited and _are_looked_at(types):
                # The client loads an item once for each model that it might be, at every level that contains it.
                itself[key] = []
    yield from inner
    if not inner and (problem := _problem_of_loading(itself, model)):
        yield Finding(Rule.MODEL, place, problem)


def _are_looked_at(types: tuple[Any, ...]) -> bool:
    """Whether `_of_types` looks at the items of a list one by one."""
    from datadog_api_client.model_utils import ModelNormal

    first = types[0]
    return isinstance(first, list) and isinstance(first[0], type) and issubclass(first[0], ModelNormal)


def _of_types(value: Any, types: tuple[Any, ...], place: str) -> Iterator[Finding]:
    from datadog_api_client.model_utils import OpenApiModel

    for model in types:
        # A mapping with any keys, such as `silenced`, is a dictionary in place of a model.
        if isinstance(model, list) or (isinstance(model, type) and issubclass(model, OpenApiModel)):
            yield from _findings(value, model, place)
            return


def _of_composed(value: Any, model: Any, place: str) -> Iterator[Finding]:
    """The one of several models that the value's own words point to, or the first that takes it."""
    candidates = [one for one in model._composed_schemas["oneOf"] if isinstance(one, type)]
    if isinstance(value, dict):
        for key in (key for key in _DISCRIMINATORS if key in value):
            narrowed = [one for one in candidates if _allows(one, key, value[key])]
            if not narrowed and any(key in getattr(one, "openapi_types", {}) for one in candidates):
                yield Finding(Rule.MODEL, f"{place}.{key}", f"{value[key]!r} is nothing that {model.__name__} knows")
                return
            candidates = narrowed or candidates
    trials = [list(_findings(value, one, place)) for one in candidates if not _is_plain(one)]
    if trials and all(trials):
        yield from min(trials, key=len)


def _allows(model: Any, key: str, value: Any) -> bool:
    types = getattr(model, "openapi_types", {}).get(key, ())
    return any(value in tuple(getattr(one, "allowed_values", ())) for one in types)


def _is_plain(model: type) -> bool:
    from datadog_api_client.model_utils import OpenApiModel

    return not issubclass(model, OpenApiModel)


def _problem_of_loading(value: Mapping[str, Any], model: Any) -> str | None:
    """Why the client does not take the object as a whole: a field is missing, or of another type."""
    from datadog_api_client import Configuration
    from datadog_api_client.exceptions import ApiAttributeError, ApiTypeError, ApiValueError
    from datadog_api_client.model_utils import validate_and_convert_types

    try:
        loaded = validate_and_convert_types(
            dict(value), (model,), ["document"], True, True, configuration=Configuration()
        )
    except (ApiAttributeError, ApiTypeError, ApiValueError, TypeError, ValueError) as error:
        missing = _MISSING.search(str(error))
        return f"the field {missing[1]} is missing" if missing else str(error).partition("\n")[0]
    return f"{model.__name__} does not take this" if loaded._unparsed else None
