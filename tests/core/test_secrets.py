"""Which options hold a secret that must not show in a message."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from metta_checks.core.secrets import secrets_of

BASIC = base64.b64encode(b"me:correct horse").decode()


@pytest.mark.parametrize(
    ("options", "secrets"),
    [
        ({}, set()),
        ({"username": "me", "password": "correct horse"}, {"correct horse", BASIC}),
        ({"password": "abc"}, {base64.b64encode(b"None:abc").decode()}),
        ({"password": None}, set()),
        ({"headers": {"X-Key": "0123456789", "X-Number": 5}}, {"0123456789"}),
        ({"extra_headers": {"Authorization": "Bearer 0123456789"}}, {"Bearer 0123456789"}),
        ({"proxy": {"https": "http://me:correcthorse@proxy:3128"}}, {"correcthorse"}),
        ({"source": "https://:correcthorse@host/records.json"}, {"correcthorse"}),
        ({"source": "https://host:8080/a@b"}, set()),
        ({"source": "https://host/a?sig=0123456789ab&version=2024"}, {"0123456789ab"}),
        ({"source": "https://host/a?sig=01234%2B56+789#end"}, {"01234%2B56+789", "01234+56+789", "01234+56 789"}),
        ({"condition": "what?x=0123456789ab"}, set()),
        ({"tags": ["env:prod"], "entity": "team"}, set()),
    ],
)
def test_secrets_in_options(options: dict[str, Any], secrets: set[str]) -> None:
    assert set(secrets_of({}, options)) == secrets
