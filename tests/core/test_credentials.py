"""Credentials: the option, then the environment, then AWS; and what is wrong with those near at hand."""

from __future__ import annotations

import pytest

from metta_checks.core import CredentialError
from metta_checks.core.credentials import Credential, CredentialOrigin, CredentialPlaces, Credentials, Place


def credentials(given: str | None = None, registered: list[str] | None = None) -> Credentials:
    places = CredentialPlaces("Probe token", "token", given, ("PROBE_TOKEN", "OLD_TOKEN"), "probe/token", "eu-west-1")
    return Credentials(places, [].append if registered is None else registered.append)


@pytest.mark.parametrize(
    ("given", "environment", "found", "origin"),
    [
        ("a", {"PROBE_TOKEN": "b", "OLD_TOKEN": "c"}, "a", "the option `token`"),
        (" a\n", {}, "a", "the option `token`"),
        ("", {"PROBE_TOKEN": "b", "OLD_TOKEN": "c"}, "b", "the environment variable PROBE_TOKEN"),
        (None, {"PROBE_TOKEN": "b\n"}, "b", "the environment variable PROBE_TOKEN"),
        (None, {"PROBE_TOKEN": " ", "OLD_TOKEN": "c"}, "c", "the environment variable OLD_TOKEN"),
    ],
)
def test_the_nearest_place(
    monkeypatch: pytest.MonkeyPatch, given: str | None, environment: dict[str, str], found: str, origin: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    registered: list[str] = []
    credential = credentials(given, registered).get()
    assert (credential.value, str(credential.origin)) == (found, origin)
    assert registered == [found]


def test_none_anywhere_names_the_three_places() -> None:
    with pytest.raises(CredentialError) as caught:
        credentials().get()
    assert str(caught.value) == (
        "no Probe token found: the option `token` is not set, neither is the environment variable PROBE_TOKEN or "
        "OLD_TOKEN, and the AWS secret probe/token could not be used (no AWS credentials here). Set one of the three."
    )


@pytest.mark.parametrize("value", ["ENC[probe/token;key]", "ENC[probe/token]"])
@pytest.mark.parametrize("by_option", [True, False])
def test_a_handle_that_the_agent_did_not_resolve(monkeypatch: pytest.MonkeyPatch, value: str, by_option: bool) -> None:
    monkeypatch.setenv("PROBE_TOKEN", value)
    with pytest.raises(CredentialError, match=r"holds an unresolved ENC\[probe/token\] handle. Set up the Agent's"):
        credentials(value if by_option else None).get()


@pytest.mark.parametrize("value", ["hush\nhush", "hush\0", "hush\u0416", "“hush”", "hush\x7f"])
def test_a_value_that_no_header_can_carry_is_not_shown(value: str) -> None:
    registered: list[str] = []
    with pytest.raises(CredentialError, match="the option `token` holds a line break, or a character") as caught:
        credentials(value, registered).get()
    assert "hush" not in str(caught.value)
    assert registered == []


def test_it_does_not_show_itself() -> None:
    places = CredentialPlaces("Probe token", "token", "hush", (), "probe/token", None)
    assert "hush" not in repr(Credential("hush", CredentialOrigin(Place.OPTION, "token"))) + repr(places)


def test_after_a_401_an_option_stays_what_it_is() -> None:
    found = credentials("a")
    assert found.refresh(found.get()) is None
