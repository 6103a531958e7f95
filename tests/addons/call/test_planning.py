"""The targets of a call under the config in force: which are asked, on whose key, and why others are not."""

import weakref
from dataclasses import replace

import pytest
from pydantic import SecretStr

from addons.call.fields import FieldCache
from addons.call.planning import Plan, Planner
from addons.call.recognition import Intercepted
from addons.config.credentials import PoolCredential
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.conversations import Asker
from addons.responses.kept import Turn
from addons.secrets.redaction import LONGEST_NAME, Redactor
from protocols.model.call import Call, Operation
from protocols.model.http import WireRequest, parsed
from protocols.model.parts import Signature
from protocols.model.wirejson import dump
from protocols.registry import discover
from protocols.shared.signatures import wrapped
from rewrite.adapters.chain import parse_adapters
from rewrite.catalog.clients import ClientFacts
from rewrite.catalog.providers import Carrier, ModelFacts, Provider
from rewrite.catalog.routes import Match, Rule, rule_for, rule_target
from rewrite.credentials.credential import Credential
from rewrite.targets.response_adapters import ReportedModel
from rewrite.values.timeouts import Deadlines
from tests.rewrite.scenes import ANTHROPIC, CHAT

WHERE = parsed("https://where.it.was.called")
REGISTRY = discover()
FIELDS = FieldCache(lambda: 0.0, Redactor().holds_secret)
ASKER = Asker("openai_chat", "client")
MESSAGES: list[dict[str, object]] = [{"role": "user", "content": "Hi"}]


def configured(name: str, protocol: str, *keys: str, auth: Carrier = Carrier.BEARER) -> Configured:
    provider = Provider(name, f"https://{name}.example", (name,), (protocol,), auth)
    return Configured(provider, tuple(PoolCredential(Credential(key, name), SecretStr(key)) for key in keys))


OPENAI = configured("openai", "openai_chat", "work")
CLAUDE = configured("anthropic", "anthropic_messages", "spare")
BARE = configured("bare", "openai_chat")
LOCAL = configured("local", "openai_chat", auth=Carrier.NONE)
ALL = (OPENAI, CLAUDE, BARE, LOCAL)


def asks(**fields: object) -> Call:
    body: dict[str, object] = {"model": "gpt-5", "messages": MESSAGES, "stream": True, **fields}
    return CHAT.parse("c", Operation.GENERATE, WireRequest("POST", "/v1/chat/completions", (), dump(body)))


def plan_of(settings: Settings, turn: Turn, asked: Intercepted, request: WireRequest) -> Plan:
    planner = Planner(settings, REGISTRY, FIELDS)
    rule = rule_for(settings.rules, turn.call, asked.provider)
    return planner.plan(turn, rule, asked, request, ASKER, 0.0)


def planned(
    *rules: Rule,
    call: Call | None = None,
    pooled: bool = True,
    providers: tuple[Configured, ...] = ALL,
    hold_tool_calls: bool = False,
    deadlines: tuple[Deadlines, ...] = (),
) -> Plan:
    one = call or asks()
    original = Intercepted(OPENAI, CHAT, Operation.GENERATE, None, pooled, WHERE)
    request = WireRequest("POST", "/v1/chat/completions", (), dump(one.body))
    turn = Turn(one, "scope", one.body)
    settings = Settings(providers=providers, rules=rules, deadlines=deadlines)
    settings = replace(settings, hold_tool_calls=hold_tool_calls)
    return plan_of(settings, turn, original, request)


def to(*texts: str, **more: object) -> Rule:
    return replace(Rule(to=tuple(rule_target(text) for text in texts)), **more)  # type: ignore[arg-type]


def labels(plan: Plan) -> list[str]:
    return [target.route.label for target in plan.targets]


def test_a_web_page_has_no_key_of_any_provider() -> None:
    asked = Intercepted(OPENAI, CHAT, Operation.GENERATE, None, False, WHERE, "https://page.example")
    request = WireRequest("POST", "/v1/chat/completions", (), b"{}")
    settings = Settings(providers=ALL, rules=(to("anthropic/a"),))
    plan = plan_of(settings, Turn(asks(), "scope", asks().body), asked, request)
    assert not plan.targets
    assert "a web page does not use them" in plan.fault.message


@pytest.mark.parametrize(("client", "reached"), [("claude", ["logins/m"]), ("unknown", [])])
def test_logins_of_other_tools_are_no_key(client: str, reached: list[str]) -> None:
    provider = Provider("logins", "https://logins.example", ("logins",), ("openai_chat",))
    login = PoolCredential(Credential("one", "logins", clients=("claude",)), SecretStr("token"))
    asked = Intercepted(OPENAI, CHAT, Operation.GENERATE, None, True, WHERE, client=client)
    settings = Settings(providers=(*ALL, Configured(provider, (login,))), rules=(to("logins/m"),))
    turn, request = Turn(asks(), "scope", asks().body), WireRequest("POST", "/v1/chat/completions", (), b"{}")
    plan = plan_of(settings, turn, asked, request)
    assert labels(plan) == reached
    assert reached or "they are logins of other tools (see any_client)" in plan.fault.message


@pytest.mark.parametrize("pooled", [True, False])
def test_without_a_rule_the_call_goes_where_it_was_meant_to(pooled: bool) -> None:
    plan = planned(pooled=pooled)
    (target,) = plan.targets
    assert (target.route.label, target.route.original, target.terms.pooled) == ("openai/gpt-5", True, pooled)
    assert target.origin == WHERE
    assert (target.rendered, target.translation, plan.skipped) == (None, None, {})


def test_the_targets_of_the_first_rule_that_fits_in_order() -> None:
    plan = planned(Rule(Match(model="o3"), to=(rule_target("local"),)), to("anthropic/claude", "openai"))
    assert labels(plan) == ["openai/gpt-5", "anthropic/claude"]
    assert [target.origin for target in plan.targets] == [WHERE, parsed("https://anthropic.example")]
    assert plan.targets[1].translation is not None


def test_another_provider_is_asked_on_its_own_pool_whatever_the_client_has() -> None:
    plan = planned(to("anthropic/claude", "openai"), pooled=False)
    assert [(target.route.label, target.terms.pooled) for target in plan.targets] == [
        ("openai/gpt-5", False),
        ("anthropic/claude", True),
    ]


def test_a_provider_without_a_key_of_its_own_cannot_be_asked() -> None:
    """The client's key was meant for another one."""
    plan = planned(to("bare/m", "openai"))
    assert labels(plan) == ["openai/gpt-5"]
    assert "credentials" in plan.skipped["bare/m"]


def test_a_provider_that_takes_no_key_needs_none() -> None:
    (target,) = planned(to("local/m")).targets
    assert (target.route.label, target.terms.pooled) == ("local/m", False)


def test_a_target_that_cannot_do_what_is_asked_is_skipped_and_named() -> None:
    call = asks(n=2)
    plan = planned(to("anthropic/claude", "local/m"), call=call)
    assert labels(plan) == ["local/m"]
    assert "n" in plan.skipped["anthropic/claude"]


def test_where_no_target_is_left_the_error_says_why() -> None:
    plan = planned(to("anthropic/claude", "bare/m"), call=asks(n=2))
    assert plan.targets == []
    assert (plan.fault.status, plan.fault.kind, plan.fault.should_retry) == (400, "invalid_request", False)
    for word in ("anthropic/claude", "bare/m", "providers.bare.credentials"):
        assert word in plan.fault.message


def test_adapters_of_the_provider_come_before_those_of_the_route() -> None:
    first = parse_adapters([{"name": "override_model", "model": "one"}])
    second = parse_adapters([{"name": "override_model", "model": "two"}])
    adapted = replace(OPENAI, provider=replace(OPENAI.provider, adapters=first))
    plan = planned(Rule(adapters=second), providers=(adapted, *ALL[1:]))
    (target,) = plan.targets
    assert target.chain is not None
    assert target.chain.adapters == (*first, *second)
    assert target.rendered is not None
    assert target.rendered.body["model"] == "two"


@pytest.mark.parametrize(("upstream", "named"), [(False, True), (True, False)])
def test_the_answer_names_the_model_that_was_asked_for_unless_the_route_says_otherwise(
    upstream: bool, named: bool
) -> None:
    (target,) = planned(to("local/m", upstream_model=upstream)).targets
    assert target.chain is not None
    assert any(isinstance(each, ReportedModel) for each in target.chain.adapters) is named
    (other,) = planned(to("anthropic/claude", upstream_model=upstream)).targets
    assert other.translation is not None
    assert other.translation.reply.model == ("gpt-5" if named else "")


@pytest.mark.parametrize(("default", "route", "held"), [(True, None, True), (True, False, False)])
@pytest.mark.parametrize("target", ["openai", "anthropic/claude"])
def test_calls_are_held_where_the_route_says_so_or_else_the_default(
    target: str, default: bool, route: bool | None, held: bool
) -> None:
    for said, expected in ((default, held), (not default, not held if route is None else held)):
        rule = replace(to(target), hold_tool_calls=route)
        (planned_target,) = planned(rule, hold_tool_calls=said).targets
        assert planned_target.hold_tool_calls is expected
        found = planned_target.translation
        assert found is None or found.hold_tool_calls is expected


def test_every_target_of_a_call_answers_under_one_id() -> None:
    found = [target.translation for target in planned(to("anthropic/a", "anthropic/b")).targets]
    ids = {one.reply.id for one in found if one}
    assert len(ids) == 1
    assert ids.pop().startswith("rot")


def test_signatures_are_looked_for_where_the_body_has_a_carrier() -> None:
    """In Messages a client sends back what it takes for a signature."""
    envelope = wrapped(Signature("signature", "c2ln"), "other").value
    said = {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": envelope}]}
    body = dump({"model": "claude", "max_tokens": 9, "messages": [*MESSAGES, said, *MESSAGES]})
    call = ANTHROPIC.parse("c", Operation.GENERATE, WireRequest("POST", "/v1/messages", (), body))
    original = Intercepted(CLAUDE, ANTHROPIC, Operation.GENERATE, None, True, WHERE)
    request = WireRequest("POST", "/v1/messages", (), body)
    turn = Turn(call, "scope", call.body)
    (target,) = plan_of(Settings(providers=ALL), turn, original, request).targets
    assert target.rendered is not None
    assert envelope.encode() not in dump(target.rendered.body)


def test_a_request_that_is_nested_too_deep_is_refused_and_not_a_fault_of_ours() -> None:
    schema: dict[str, object] = {"type": "object"}
    for _ in range(5_000):
        schema = {"type": "object", "properties": {"a": schema}}
    wanted = {"type": "json_schema", "json_schema": {"name": "deep", "schema": schema}}
    call = asks()
    call = replace(call, body={**call.body, "response_format": wanted})
    original = Intercepted(OPENAI, CHAT, Operation.GENERATE, None, True, WHERE)
    request = WireRequest("POST", "/v1/chat/completions", (), b"{}")
    settings = Settings(providers=ALL, rules=(to("anthropic/a"),))
    plan = plan_of(settings, Turn(call, "scope", call.body), original, request)
    assert not plan.targets
    assert "nested deeper" in plan.fault.message


class Name(str):
    """One that can be referred to weakly."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize(("length", "is_kept"), [(LONGEST_NAME, True), (LONGEST_NAME + 1, False)])
def test_what_is_known_of_a_model_is_remembered_but_for_a_name_that_fills_the_memory(
    length: int, is_kept: bool
) -> None:
    planner = Planner(Settings(providers=ALL), REGISTRY, FIELDS)
    original = Intercepted(OPENAI, CHAT, Operation.GENERATE, None, True, WHERE)
    named = [Name("m" * length)]
    kept = weakref.ref(named[0])
    call = replace(asks(), model=named.pop())
    request = WireRequest("POST", "/v1/chat/completions", (), dump(call.body))
    rule = rule_for((), call, original.provider)
    assert planner.plan(Turn(call, "scope", call.body), rule, original, request, ASKER, 0.0).targets
    del call
    assert (kept() is not None) == is_kept


# -- which conversation a call belongs to -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "named", "otherwise", "session"),
    [
        ("session-id", {"prompt_cache_key": "from-body"}, "given", "from-header"),
        ("x-other", {"prompt_cache_key": "from-body"}, "given", "from-body"),
        ("", {"prompt_cache_key": "from-body"}, "given", "from-body"),
        ("", {}, "given", "given"),
        ("", {}, "", None),
    ],
)
def test_the_clients_header_names_the_conversation_else_the_body_else_who_asks(
    header: str, named: dict[str, str], otherwise: str, session: str | None
) -> None:
    tool = ClientFacts("tool", "tool/*", session_header=header)
    planner = Planner(Settings(providers=ALL, clients=(tool,)), REGISTRY, FIELDS)
    intercepted = Intercepted(OPENAI, CHAT, Operation.GENERATE, None, True, WHERE)
    sent = (("user-agent", "tool/1.2"), ("Session-ID", "from-header"))
    request = WireRequest("POST", "/v1/chat/completions", sent, dump(named))
    call, facts = planner.call(request, intercepted, otherwise, None, "tool/1.2")
    assert (call.session, facts) == (session, tool)


def test_timeouts_of_a_model_stand_between_those_of_all_calls_and_deadlines() -> None:
    facts = ModelFacts("gpt-5", timeouts={"stall": 7.0, "hold_limit": 3.0, "connect": 2.0})
    one = replace(OPENAI, provider=replace(OPENAI.provider, models=(facts,)))
    deadlines = (Deadlines(model="gpt-5", seconds={"stall": 5.0}),)
    (target,) = planned(providers=(one,), deadlines=deadlines).targets
    found = target.terms.timing
    assert (found.stall, found.hold, found.connect, found.response) == (
        5.0,
        3.0,
        2.0,
        590.0,
    )
