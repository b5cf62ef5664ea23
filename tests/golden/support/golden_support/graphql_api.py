"""Answers GraphQL from plain dictionaries with graphql-core: whatever the text of a query, the data decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import DocumentNode, GraphQLError, build_schema, execute_sync, parse, validate


class GraphQLApi:
    """A schema, and the documents that were validated against it."""

    def __init__(self, schema_text: str) -> None:
        self._schema = build_schema(schema_text)
        self._documents: dict[str, tuple[DocumentNode | None, list[GraphQLError]]] = {}

    def answer(self, body: Mapping[str, Any], root: Mapping[str, Any]) -> tuple[bool, dict[str, Any]]:
        """Whether the query was valid, and the answer: `data` and `errors` as both services send them.

        Values of `root` are plain ones, dictionaries by field name (`__typename` for what an interface needs), lists of
        them, or functions of the field's arguments.
        """
        text = str(body.get("query"))
        if text not in self._documents:
            self._documents[text] = self._checked(text)
        document, errors = self._documents[text]
        if errors or document is None:
            return False, {"errors": [_formatted(error) for error in errors]}
        result = execute_sync(
            self._schema,
            document,
            root_value=root,
            variable_values=dict(body.get("variables") or {}),
            operation_name=body.get("operationName"),
            field_resolver=_resolve,
            type_resolver=lambda value, *_: value["__typename"],
        )
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [_formatted(error) for error in result.errors]
        return True, answer

    def _checked(self, text: str) -> tuple[DocumentNode | None, list[GraphQLError]]:
        try:
            document = parse(text)
        except GraphQLError as error:
            return None, [error]
        return document, list(validate(self._schema, document))


def refused(message: str, kind: str) -> GraphQLError:
    """An error of one field, with the `type` that GitHub gives it."""
    return GraphQLError(message, extensions={"type": kind})


def _resolve(source: Any, info: Any, **arguments: Any) -> Any:
    value = source.get(info.field_name)
    return value(**arguments) if callable(value) else value


def _formatted(error: GraphQLError) -> dict[str, Any]:
    formatted: dict[str, Any] = {"message": error.message, "path": error.path}
    return formatted | {key: value for key, value in (error.extensions or {}).items() if key == "type"}
