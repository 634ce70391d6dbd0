"""Keys, tenants and what they may do."""

from __future__ import annotations

import logging

import httpx
import pytest
from serving import Serve, Served

from armwise.config.gateway import GatewaySettings
from armwise.contracts import PoolChange
from armwise.errors import ConfigError, NotAuthorised
from armwise.gateway.keys import Forbidden, Keyring, new_key
from armwise.gateway.limits import Bucket
from armwise.gateway.server import check_reach
from armwise.sensitivity import Detector

ACME, ACME_KEY = new_key()
ADMIN, ADMIN_KEY = new_key()


@pytest.fixture
def guarded(serve: Serve) -> Served:
    tenants = [
        {"name": "acme", "keys": [ACME_KEY]},
        {"name": "beta", "keys": ["env:BETA"], "arms": ["small"], "requests_per_minute": 60, "burst": 2},
    ]
    return serve({"tenants": tenants, "admin_keys": [ADMIN_KEY]}, environment={"BETA": "beta-key"})


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_a_key_is_needed_and_a_wrong_one_is_not_repeated(guarded: Served) -> None:
    for headers in (
        {},
        bearer("aw-wrong"),
        {"authorization": f"Basic {ACME}"},
        {"authorization": "Bearer"},
        bearer(ACME[:-1]),
    ):
        response = guarded.ask(headers=headers)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"
        assert "aw-" not in response.text
    assert guarded.ask(headers=bearer(ACME)).status_code == 200
    assert guarded.ask(headers={"x-api-key": "beta-key"}).status_code == 200
    assert guarded.http.get("/v1/models").status_code == 401
    assert guarded.http.get("/healthz").status_code == 200


def test_odd_bytes_in_a_key_are_just_a_wrong_key(guarded: Served) -> None:
    response = guarded.http.get("/v1/models", headers=[(b"authorization", b"Bearer \xff\xfe\x80")])
    assert response.status_code == 401


def test_the_admin_key_and_no_other_opens_admin_routes(guarded: Served) -> None:
    for path in ("/admin/models", "/metrics"):
        assert guarded.http.get(path).status_code == 401
        assert guarded.http.get(path, headers=bearer(ACME)).status_code == 403
        assert guarded.http.get(path, headers=bearer(ADMIN)).status_code == 200


def test_a_tenant_keeps_to_its_arms_whatever_it_asks(guarded: Served) -> None:
    listed = guarded.http.get("/v1/models", headers=bearer("beta-key")).json()["data"]
    assert [model["id"] for model in listed] == ["armwise/auto", "small"]
    response = guarded.ask(model="large", headers=bearer("beta-key"))
    assert response.status_code == 422
    response = guarded.ask(armwise={"arms": ["large", "small"]}, headers=bearer("beta-key"))
    assert response.json()["armwise"]["arm"] == "small"


def test_a_tenant_has_its_rate(guarded: Served) -> None:
    statuses = [guarded.ask(headers=bearer("beta-key")) for _ in range(3)]
    assert [response.status_code for response in statuses] == [200, 200, 429]
    assert statuses[2].json()["error"]["code"] == "rate_limit_exceeded"
    assert int(statuses[2].headers["retry-after"]) == 1
    assert guarded.ask(headers=bearer(ACME)).status_code == 200


def test_feedback_of_another_tenant_finds_nothing(guarded: Served) -> None:
    decision = guarded.ask(headers=bearer(ACME)).json()["armwise"]["decision_id"]
    body = {"decision_id": decision, "kind": "thumbs_up"}
    assert guarded.http.post("/v1/feedback", json=body, headers=bearer("beta-key")).status_code == 404
    assert guarded.http.post("/v1/feedback", json=body, headers=bearer(ACME)).status_code == 200


def test_the_pool_can_be_changed_while_it_serves(guarded: Served) -> None:
    admin = httpx.Client(base_url=guarded.url, headers=bearer(ADMIN))
    base_url = guarded.router.arm("small").models[0].base_url
    model = {
        "name": "third",
        "input_usd_per_mtok": 1,
        "output_usd_per_mtok": 2,
        "base_url": base_url,
        "upstream": "small",
    }
    assert admin.post("/admin/models", json=model).json()["arms"] == ["small", "large", "third"]
    assert guarded.ask(model="third", headers=bearer(ACME)).json()["armwise"]["arm"] == "third"
    assert admin.post("/admin/models/third/disable").json() == {"disabled": ["third"]}
    response = guarded.ask(model="third", headers=bearer(ACME))
    assert response.status_code == 422
    assert response.json()["armwise"]["excluded"]["third"] == "disabled"
    changes = [event for _, event in guarded.router._log.events() if isinstance(event, PoolChange)]
    assert (changes[-1].action, changes[-1].arm.name) == ("disable", "third")
    assert changes[-1].by.startswith("admin ")
    assert admin.post("/admin/models/third/enable").json() == {"disabled": []}
    assert admin.delete("/admin/models/third").json()["arms"] == ["small", "large"]
    assert guarded.ask(model="third", headers=bearer(ACME)).status_code == 404
    response = admin.post("/admin/models", json={"name": "x", "input_usd_per_mtk": 1})
    assert response.status_code == 400
    assert "did you mean 'input_usd_per_mtok'" in response.json()["error"]["message"]
    assert admin.delete("/admin/models/third").status_code == 404
    admin.close()


def test_budgets_are_set_while_it_serves_and_a_hard_stop_holds(guarded: Served) -> None:
    admin = httpx.Client(base_url=guarded.url, headers=bearer(ADMIN))
    body = {"usd": 0.0, "per": "day", "tenant": "acme", "hard_stop": True, "name": "acme's"}
    assert admin.post("/admin/budgets", json=body).json()["budget"]["usd"] == 0.0
    response = guarded.ask(headers=bearer(ACME))
    assert (response.status_code, response.json()["error"]["code"]) == (429, "insufficient_quota")
    assert guarded.ask(headers=bearer("beta-key")).status_code == 200
    assert admin.post("/admin/budgets", json={**body, "usd": 1.0}).status_code == 200
    assert guarded.ask(headers=bearer(ACME)).status_code == 200
    [report] = [one for one in admin.get("/admin/budgets").json()["budgets"] if one["name"] == "acme's"]
    assert report["billed_usd"] > 0
    assert 'armwise_budget_usd{budget="acme\'s",tenant="acme"} 1.0' in admin.get("/metrics").text
    assert admin.post("/admin/budgets", json={"us": 1}).status_code == 400
    assert admin.post("/admin/budgets", json={"usd": "much"}).status_code == 400
    assert admin.delete("/admin/budgets/acme's").status_code == 200
    assert admin.delete("/admin/budgets/acme's").status_code == 404
    admin.close()


def test_policies_are_promoted_and_rolled_back_by_the_admin(guarded: Served) -> None:
    admin = httpx.Client(base_url=guarded.url, headers=bearer(ADMIN))
    assert admin.get("/admin/rollout").json()["trial"] is None
    response = admin.post("/admin/promote", json={"version": "none"})
    assert response.status_code == 400  # a log in memory has no registry
    assert "registry" in response.json()["error"]["message"]
    assert admin.post("/admin/promote", json={"versio": "v1"}).status_code == 400
    assert admin.post("/admin/promote", json={"version": "v1", "share": "all"}).status_code == 400
    assert admin.post("/admin/rollback").status_code == 400
    assert guarded.http.post("/admin/rollback", headers=bearer(ACME)).status_code == 403
    admin.close()


def test_labels_raise_and_lower_only_who_may(serve: Serve) -> None:
    tenants = [
        {"name": "plain", "keys": ["env:PLAIN"]},
        {"name": "trusted", "keys": ["env:TRUSTED"], "may_lower_sensitivity": True},
        {"name": "careful", "keys": ["env:CAREFUL"], "sensitivity": "internal"},
    ]
    keys = {"PLAIN": "k1", "TRUSTED": "k2", "CAREFUL": "k3"}
    served = serve({"tenants": tenants}, environment=keys, detector=Detector())
    secret, label = "My mail is bob@example.org", {"sensitivity": "public"}
    assert served.ask(headers=bearer("k1")).status_code == 200
    assert served.ask(secret, headers=bearer("k1")).status_code == 422
    assert served.ask(secret, armwise=label, headers=bearer("k1")).status_code == 422
    assert served.ask(armwise={"sensitivity": "internal"}, headers=bearer("k1")).status_code == 422
    assert served.ask(secret, armwise=label, headers=bearer("k2")).status_code == 200
    assert served.ask(secret, headers=bearer("k2")).status_code == 422
    assert served.ask(armwise=label, headers=bearer("k3")).status_code == 422
    response = served.ask("hi", prediction={"type": "content", "content": "bob@example.org"}, headers=bearer("k1"))
    assert response.status_code == 422, "a field that the router does not read is passed on, so it is searched too"


def test_settings_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ValueError, match="never the key itself") as caught:
        GatewaySettings(admin_keys=["aw-in-the-clear"])
    assert "aw-in" not in str(caught.value).replace("input_value='aw-in-the-clear'", "")
    with pytest.raises(ConfigError, match=r"gateway\.admin_keys\[0\]: the environment has no ADMIN"):
        Keyring(GatewaySettings(admin_keys=["env:ADMIN"]), {})
    settings = GatewaySettings(admin_keys=["env:A"], tenants=[{"name": "t", "keys": ["env:B"]}])
    with pytest.raises(ConfigError, match="given twice"):
        Keyring(settings, {"A": "same", "B": "same"})
    with pytest.raises(ConfigError, match="no key is asked for, and others can reach"):
        check_reach(GatewaySettings(host="0.0.0.0"))
    check_reach(GatewaySettings(host="0.0.0.0", open=True))
    check_reach(GatewaySettings(host="::1"))


def test_every_key_is_compared_whatever_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time taken must not tell which key it was, nor how much of it was right."""
    names = [f"K{i}" for i in range(8)]
    ring = Keyring(GatewaySettings(admin_keys=[f"env:{name}" for name in names]), {name: name for name in names})
    compared: list[int] = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: compared.append(len(a)) or a == b)
    ring.caller(bearer("K0"))
    first = list(compared)
    compared.clear()
    ring.caller(bearer("no such key at all"))
    assert first == compared == [32] * 8


def test_without_tenants_but_with_an_admin_requests_are_open_and_administration_is_not() -> None:
    ring = Keyring(GatewaySettings(admin_keys=[ADMIN_KEY]), {})
    assert not ring.caller({}).admin
    assert not ring.caller(bearer("whatever a client sends")).admin
    assert ring.admin(bearer(ADMIN)).admin
    with pytest.raises(Forbidden):
        ring.admin({})
    with pytest.raises(NotAuthorised):
        Keyring(GatewaySettings(tenants=[{"name": "t", "keys": [ACME_KEY]}]), {}).caller({})


def test_a_bucket_fills_at_its_rate() -> None:
    now = [0.0]
    bucket = Bucket(per_s=2.0, size=3.0, clock=lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    now[0] = 0.5
    assert bucket.take() == 0.0
    now[0] = 100.0
    assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_a_full_gateway_says_so(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve({"max_in_flight": 1})
    served.gateway.limits.enter(None)
    with caplog.at_level(logging.INFO):
        response = served.ask()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "overloaded")
    assert response.headers["retry-after"] == "1"
    served.gateway.limits.leave(None)
    assert served.ask().status_code == 200
