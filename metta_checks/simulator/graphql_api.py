"""GraphQL for both services: graphql-core validates a document against the service's schema and executes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from graphql import DocumentNode, GraphQLError, GraphQLObjectType, build_schema, execute_sync, parse, validate

MAX_DOCUMENT: Final = 200_000
"""Characters. Longer documents are refused before they are parsed."""

Resolver = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Query:
    """A valid document and the variables sent with it."""

    document: DocumentNode
    variables: Mapping[str, Any]
    operation_name: str | None


class QueryError(Exception):
    """A document that cannot be executed. `errors` has at least one entry."""

    def __init__(self, *errors: GraphQLError) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


class GraphQLApi:
    """One service's schema, read from an SDL file beside this module.

    A field's value is, in this order: what its entry in `resolvers` (`Type.field`) returns for the parent and the
    field's arguments; the parent's entry of that name, if the parent is a mapping; the parent's attribute of that name
    in snake case. A value that is callable is called with the arguments. Their names are in snake case too.
    """

    def __init__(self, schema_file: str, resolvers: Mapping[str, Resolver] | None = None) -> None:
        self.schema = build_schema(Path(__file__).with_name(schema_file).read_text(encoding="utf-8"))
        for type_ in self.schema.type_map.values():
            if isinstance(type_, GraphQLObjectType):
                for name, field in type_.fields.items():
                    field.resolve = _without_info((resolvers or {}).get(f"{type_}.{name}"))
                    for argument_name, argument in field.args.items():
                        argument.out_name = _snake_case(argument_name)
        self._validated = lru_cache(maxsize=64)(self._validate)

    def query(self, body: object) -> Query:
        """The query in a request's decoded body. Raises `QueryError`."""
        if not isinstance(body, dict) or not isinstance(body.get("query"), str):
            raise QueryError(GraphQLError("A query attribute must be specified and must be a string."))
        variables = body.get("variables") or {}
        if not isinstance(variables, dict):
            raise QueryError(GraphQLError("Variables must be an object."))
        name = body.get("operationName")
        return Query(self._validated(body["query"]), variables, name if isinstance(name, str) and name else None)

    def execute(self, query: Query, root: Any) -> tuple[dict[str, Any] | None, list[GraphQLError]]:
        """The data, None where the root itself is null, and the errors of single fields, each with its path."""
        result = execute_sync(
            self.schema,
            query.document,
            root_value=root,
            variable_values=dict(query.variables),
            operation_name=query.operation_name,
            field_resolver=_resolve,
            type_resolver=lambda value, *_: value["__typename"],
        )
        return result.data, list(result.errors or ())

    def _validate(self, text: str) -> DocumentNode:
        if len(text) > MAX_DOCUMENT:
            raise QueryError(GraphQLError(f"The query has {len(text)} characters; {MAX_DOCUMENT} are allowed."))
        try:
            document = parse(text)
            errors = validate(self.schema, document)
        except GraphQLError as error:
            raise QueryError(error) from error
        except RecursionError as error:
            raise QueryError(GraphQLError("The query is nested too deeply.")) from error
        if errors:
            raise QueryError(*errors)
        return document


def _without_info(resolver: Resolver | None) -> Resolver | None:
    return None if resolver is None else lambda parent, _info, **arguments: resolver(parent, **arguments)


def _resolve(parent: Any, info: Any, **arguments: Any) -> Any:
    name = info.field_name
    value = parent.get(name) if isinstance(parent, Mapping) else getattr(parent, _snake_case(name))
    return value(**arguments) if callable(value) else value


@lru_cache(maxsize=1_024)
def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
