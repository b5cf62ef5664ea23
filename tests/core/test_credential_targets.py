"""Where a credential may go: the key of the Agent only to servers of its operator, whoever writes an instance."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from core_support.servers import Source
from datadog_checks.base import ConfigurationError
from datadog_checks.base.stubs import datadog_agent as agent_stub

from metta_checks.ci.check import CiCheck
from metta_checks.core import MettaCheck
from metta_checks.eval.check import EvalCheck
from metta_checks.simulator.server import LoopbackServer, Reply, Request
from metta_checks.training.check import TrainingCheck
from metta_checks.wandb.check import WandbCheck

OURS = "0123456789abcdef-ours"
THEIRS = "0123456789abcdef-theirs"
UNTRUSTED = "kubernetes-container-allinone"


class Watched(NamedTuple):
    """A check and the names of its options."""

    kind: type[MettaCheck]
    instance: Mapping[str, Any]
    address: str
    key: str
    secret: str
    address_variable: str
    key_variable: str
    default_secret: str
    default: str


CHECKS = {
    "wandb": Watched(
        WandbCheck,
        {"entity": "team", "project": "arena"},
        "base_url",
        "api_key",
        "api_key_secret",
        "WANDB_BASE_URL",
        "WANDB_API_KEY",
        "wandb/api-key",
        "https://api.wandb.ai",
    ),
    "ci": Watched(
        CiCheck,
        {"repo": "team/arena"},
        "api_url",
        "token",
        "token_secret",
        "GITHUB_API_URL",
        "GITHUB_TOKEN",
        "github/dashboard-token",
        "https://api.github.com",
    ),
}


class SecretsManager(LoopbackServer):
    """AWS Secrets Manager: every secret is there, and its value holds its name."""

    def answer(self, request: Request) -> Reply:
        name = json.loads(request.body)["SecretId"]
        body = {"Name": name, "SecretString": f"{OURS}:{name}"}
        return Reply(200, json.dumps(body).encode(), {"Content-Type": "application/x-amz-json-1.1"})

    @property
    def asked(self) -> list[str]:
        return [json.loads(request.body)["SecretId"] for request in self.requests]


@pytest.fixture(params=CHECKS)
def watched(request: pytest.FixtureRequest) -> Watched:
    return CHECKS[request.param]


@pytest.fixture
def source() -> Iterator[Source]:
    """A server that is not the default one."""
    with Source() as server:
        yield server


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretsManager]:
    with SecretsManager() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        yield server


Collect = Callable[..., "tuple[Exception | None, str]"]


@pytest.fixture
def collect(dd_run_check: Callable[..., str]) -> Collect:
    """One collection: the error, and what `agent status` shows of it."""

    def run(
        watched: Watched, init_config: Mapping[str, Any] | None = None, provider: str = "", **options: Any
    ) -> tuple[Exception | None, str]:
        instance = {**watched.instance, **options}
        check = watched.kind(name="metta_x", init_config=init_config, instances=[instance])
        check.provider = provider
        try:
            dd_run_check(check, extract_message=True)
        except Exception as error:
            return check.collection.error, str(error)
        return None, ""

    return run


def sent(source: Source) -> set[str]:
    """Which credentials the server received: the words in the Authorization headers, the password of a Basic one."""
    from base64 import b64decode

    headers = [request.headers.get("authorization", "") for request in source.requests]
    return {
        b64decode(header.removeprefix("Basic ")).decode().partition(":")[2]
        if header.startswith("Basic ")
        else header.removeprefix("Bearer ")
        for header in headers
    }


class TestAnotherServer:
    @pytest.mark.parametrize("provider", ["", "file", UNTRUSTED])
    def test_it_does_not_get_the_key_of_the_environment(
        self, watched: Watched, source: Source, collect: Collect, monkeypatch: pytest.MonkeyPatch, provider: str
    ) -> None:
        monkeypatch.setenv(watched.key_variable, OURS)

        error, message = collect(watched, provider=provider, **{watched.address: source.url})

        assert isinstance(error, ConfigurationError)
        for words in (f"`{watched.address}`", source.url, f"`{watched.key}`", watched.address_variable, "init_config"):
            assert words in message
        assert OURS not in message
        assert source.requests == []

    @pytest.mark.parametrize("provider", ["", UNTRUSTED])
    def test_it_does_not_get_the_default_secret(
        self, watched: Watched, source: Source, secrets: SecretsManager, collect: Collect, provider: str
    ) -> None:
        error, _ = collect(watched, provider=provider, **{watched.address: source.url})

        assert isinstance(error, ConfigurationError)
        assert (source.requests, secrets.requests) == ([], [])

    @pytest.mark.parametrize(
        "change",
        [
            lambda url: url.replace("http://", "https://"),
            lambda url: url + "1",
            lambda url: url.replace("127.0.0.1", "localhost"),
            lambda url: url + ".example",
        ],
        ids=["scheme", "port", "host", "suffix"],
    )
    def test_scheme_host_and_port_count(
        self,
        watched: Watched,
        source: Source,
        collect: Collect,
        monkeypatch: pytest.MonkeyPatch,
        change: Callable[[str], str],
    ) -> None:
        monkeypatch.setenv(watched.key_variable, OURS)
        monkeypatch.setenv(watched.address_variable, "http://127.0.0.1:80")

        error, _ = collect(watched, **{watched.address: change("http://127.0.0.1:80")})

        assert isinstance(error, ConfigurationError)

    def test_it_gets_a_key_of_the_same_instance(
        self, watched: Watched, source: Source, collect: Collect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(watched.key_variable, OURS)

        collect(watched, provider=UNTRUSTED, **{watched.address: source.url, watched.key: THEIRS})

        assert sent(source) == {THEIRS}

    def test_it_gets_a_secret_that_the_same_instance_names(
        self,
        watched: Watched,
        source: Source,
        secrets: SecretsManager,
        collect: Collect,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv(watched.key_variable, OURS)

        collect(watched, **{watched.address: source.url, watched.secret: "partner/key"})

        assert sent(source) == {f"{OURS}:partner/key"}

    @pytest.mark.parametrize("path", ["", "/proxied/path"])
    def test_the_environment_may_name_it(
        self, watched: Watched, source: Source, collect: Collect, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        monkeypatch.setenv(watched.key_variable, OURS)
        monkeypatch.setenv(watched.address_variable, source.url + path)

        collect(watched, provider=UNTRUSTED)
        collect(watched, provider=UNTRUSTED, **{watched.address: source.url + path + "/"})
        collect(watched, **{watched.address: source.url})

        assert sent(source) == {OURS}
        assert {request.path.startswith(path or "/") for request in source.requests[:2]} == {True}

    @pytest.mark.parametrize(
        "path", ["", "/evil", "/proxied", "/proxied/paths", "/proxied/path/../evil", "/PROXIED/path"]
    )
    def test_a_stranger_may_not_name_another_path_of_a_server(
        self, watched: Watched, source: Source, collect: Collect, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        """One host may have the services of many teams, each under a path."""
        monkeypatch.setenv(watched.key_variable, OURS)
        monkeypatch.setenv(watched.address_variable, f"{source.url}/proxied/path")

        error, _ = collect(watched, provider=UNTRUSTED, **{watched.address: source.url + path})

        assert isinstance(error, ConfigurationError)
        assert source.requests == []

    @pytest.mark.parametrize("provider", ["", "file", "remote-config"])
    @pytest.mark.parametrize("in_the_instance", [True, False])
    def test_init_config_may_name_it(
        self,
        watched: Watched,
        source: Source,
        collect: Collect,
        monkeypatch: pytest.MonkeyPatch,
        provider: str,
        in_the_instance: bool,
    ) -> None:
        monkeypatch.setenv(watched.key_variable, OURS)
        options = {watched.address: source.url} if in_the_instance else {}

        collect(watched, {watched.address: source.url}, provider, **options)

        assert sent(source) == {OURS}

    def test_init_config_of_a_stranger_may_not(
        self, watched: Watched, source: Source, collect: Collect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(watched.key_variable, OURS)

        error, _ = collect(watched, {watched.address: source.url}, UNTRUSTED)

        assert isinstance(error, ConfigurationError)
        assert source.requests == []

    @pytest.mark.parametrize("named", [True, False])
    def test_the_default_one_without_tls_gets_nothing(
        self, watched: Watched, collect: Collect, monkeypatch: pytest.MonkeyPatch, named: bool
    ) -> None:
        monkeypatch.setenv(watched.key_variable, OURS)
        address = watched.default.replace("https", "http")
        monkeypatch.setenv(watched.address_variable, address)

        error, message = collect(watched, **{watched.address: address, **({watched.key: OURS} if named else {})})

        assert isinstance(error, ConfigurationError)
        assert f"Write {watched.default}" in message


class TestTheOrder:
    @pytest.mark.parametrize("secret", ["partner/key", "default"])
    def test_a_secret_that_the_instance_names_wins_over_the_environment(
        self,
        watched: Watched,
        source: Source,
        secrets: SecretsManager,
        collect: Collect,
        monkeypatch: pytest.MonkeyPatch,
        secret: str,
    ) -> None:
        secret = watched.default_secret if secret == "default" else secret
        monkeypatch.setenv(watched.key_variable, OURS)
        monkeypatch.setenv(watched.address_variable, source.url)

        collect(watched, **{watched.secret: secret})

        assert sent(source) == {f"{OURS}:{secret}"}

    def test_the_key_wins_over_the_secret(
        self, watched: Watched, source: Source, secrets: SecretsManager, collect: Collect
    ) -> None:
        collect(watched, **{watched.address: source.url, watched.secret: "partner/key", watched.key: THEIRS})

        assert sent(source) == {THEIRS}
        assert secrets.requests == []

    def test_the_environment_wins_over_the_default_secret(
        self,
        watched: Watched,
        source: Source,
        secrets: SecretsManager,
        collect: Collect,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv(watched.address_variable, source.url)
        collect(watched)
        monkeypatch.setenv(watched.key_variable, OURS)
        collect(watched)

        assert sent(source) == {f"{OURS}:{watched.default_secret}", OURS}

    def test_a_secret_that_is_named_and_missing_is_an_error(
        self, watched: Watched, source: Source, collect: Collect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(watched.key_variable, OURS)
        monkeypatch.setenv(watched.address_variable, source.url)

        _, message = collect(watched, **{watched.secret: "partner/key", "aws_region": "eu-west-1"})

        assert f"the AWS secret partner/key, which `{watched.secret}` names, could not be used" in message
        assert source.requests == []

    def test_a_variable_names_the_secret_that_is_the_default(
        self, source: Source, secrets: SecretsManager, collect: Collect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GITHUB_TOKEN_SECRET", "team/github")
        monkeypatch.setenv("GITHUB_API_URL", source.url)
        collect(CHECKS["ci"], provider=UNTRUSTED)
        monkeypatch.setenv("GITHUB_TOKEN", OURS)
        collect(CHECKS["ci"])

        assert sent(source) == {f"{OURS}:team/github", OURS}


class TestAStranger:
    """A configuration from a provider that the Agent's operator does not trust."""

    @pytest.mark.parametrize("provider", [UNTRUSTED, "kubernetes-services", "container", "cluster-checks"])
    def test_it_must_not_name_a_secret(
        self, watched: Watched, source: Source, secrets: SecretsManager, collect: Collect, provider: str
    ) -> None:
        options = {watched.address: source.url, watched.secret: "prod/payroll/db"}

        error, message = collect(watched, provider=provider, **options)

        assert isinstance(error, ConfigurationError)
        assert f"`{watched.secret}` names an AWS secret, and this configuration came from `{provider}`" in message
        assert (source.requests, secrets.requests) == ([], [])

    def test_the_default_secret_is_not_its_own(
        self, watched: Watched, source: Source, secrets: SecretsManager, collect: Collect
    ) -> None:
        options = {watched.address: source.url, watched.secret: watched.default_secret}

        error, _ = collect(watched, provider=UNTRUSTED, **options)

        assert isinstance(error, ConfigurationError)
        assert (source.requests, secrets.requests) == ([], [])

    def test_the_agent_says_whom_it_trusts(
        self, watched: Watched, source: Source, secrets: SecretsManager, collect: Collect
    ) -> None:
        agent_stub._config["integration_trusted_providers"] = ["file", "cluster-checks"]

        collect(watched, provider="cluster-checks", **{watched.address: source.url, watched.secret: "partner/key"})

        assert sent(source) == {f"{OURS}:partner/key"}

    @pytest.mark.parametrize(
        "options",
        [
            {"auth_token": {"reader": {"type": "file", "path": "FILE"}, "writer": {"type": "header", "name": "X"}}},
            {"tls_ca_cert": "FILE"},
            {"tls_cert": "FILE"},
            {"tls_private_key": "FILE"},
            {"kerberos_keytab": "FILE"},
            {"kerberos_cache": "FILE"},
            {"kerberos_auth": "required"},
            {"auth_type": "kerberos"},
            {"auth_type": "aws", "aws_host": "sts.amazonaws.com", "aws_service": "sts"},
        ],
        ids=lambda options: next(iter(options)),
    )
    @pytest.mark.parametrize("check", ["wandb", "ci", "training"])
    def test_it_must_not_name_files_and_identities_of_the_machine(
        self, source: Source, collect: Collect, tmp_path: Any, options: dict[str, Any], check: str
    ) -> None:
        path = tmp_path / "file"
        path.write_text(OURS)
        given = json.loads(json.dumps(options).replace("FILE", str(path)))
        if check == "training":
            watched = CHECKS["wandb"]._replace(kind=TrainingCheck, instance={"source": f"{source.url}/results.json"})
        else:
            watched = CHECKS[check]
            given |= {watched.address: source.url, watched.key: THEIRS}

        error, message = collect(watched, provider=UNTRUSTED, **given)

        assert isinstance(error, ConfigurationError)
        assert f"`{next(iter(options))}`" in message
        assert f"came from `{UNTRUSTED}`" in message
        assert source.requests == []

    @pytest.mark.parametrize("section", ["instance", "init_config"])
    @pytest.mark.parametrize(
        "options",
        [
            {"proxy": {"http": "URL", "https": "URL"}},
            {"tls_verify": False},
            {"tls_validate_hostname": False},
            {"tls_use_host_header": True},
            {"tls_ciphers": ["ALL"]},
            {"headers": {"Host": "evil.example"}},
            {"extra_headers": {"Host": "evil.example"}},
        ],
        ids=lambda options: next(iter(options)),
    )
    def test_it_must_not_change_who_receives_the_agents_key(
        self,
        watched: Watched,
        source: Source,
        collect: Collect,
        monkeypatch: pytest.MonkeyPatch,
        options: dict[str, Any],
        section: str,
    ) -> None:
        monkeypatch.setenv(watched.key_variable, OURS)
        monkeypatch.setenv(watched.address_variable, "http://127.0.0.2:9")
        given = json.loads(json.dumps(options).replace("URL", source.url))

        error, message = (
            collect(watched, {}, UNTRUSTED, **given) if section == "instance" else collect(watched, given, UNTRUSTED)
        )

        assert isinstance(error, ConfigurationError)
        assert f"`{next(iter(options))}` can change who receives" in message
        assert source.requests == []

    def test_it_may_do_so_with_a_key_of_its_own(self, watched: Watched, source: Source, collect: Collect) -> None:
        options = {watched.address: source.url, watched.key: THEIRS, "tls_verify": False, "headers": {"X-Team": "a"}}

        collect(watched, provider=UNTRUSTED, **options)

        assert sent(source) == {THEIRS}

    def test_harmless_options_stay_allowed(
        self, watched: Watched, source: Source, collect: Collect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(watched.key_variable, OURS)
        monkeypatch.setenv(watched.address_variable, source.url)

        collect(watched, provider=UNTRUSTED, tls_verify=True, tls_ignore_warning=True, skip_proxy=True, timeout=5)

        assert sent(source) == {OURS}


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        (WandbCheck, {"entity": "team", "project": "arena", "api_key": THEIRS}, "max_response_bytes"),
        (CiCheck, {"repo": "team/arena", "token": THEIRS}, "max_response_bytes"),
        (TrainingCheck, {"source": "https://results.example/results.json"}, "max_bytes"),
        (EvalCheck, {"source": "https://results.example/results.json"}, "max_bytes"),
    ],
    ids=["wandb", "ci", "training", "eval"],
)
@pytest.mark.parametrize("size", [134_217_729, 10**15])
def test_nobody_may_have_the_agent_read_any_size(
    kind: type[MettaCheck], options: dict[str, Any], name: str, size: int
) -> None:
    """Whoever writes an instance may name a server of theirs, whose answer would fill the memory of the Agent."""
    check = kind("probe", {}, [{**options, name: size}])
    assert name in json.loads(check.run())[0]["message"]
    assert isinstance(check.collection.error, ConfigurationError)
    assert check.collection.requests == 0
