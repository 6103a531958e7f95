"""Faults before the first token: the client has to see nothing of them, or one clear error."""

from tests.e2e.fault_row import (
    CLIENT,
    LATER,
    NOW,
    ONCE,
    REFUSED,
    SOON,
    UNTOUCHED,
    Row,
    hang,
    in_band,
    opened,
    page,
    rejected,
    reply,
    started,
)
from tests.vendor import End, Fin, Hang, Reset, whole

SILENCE = (
    Row("silent", reply(hang), "one two", mode="hasty", hangs=True),
    Row("silent-twice", reply(hang, hang), "one two one", mode="hasty", hangs=True),
    Row("silent-after-headers", reply(opened(Hang())), "one two", mode="hasty", hangs=True),
    Row("silent-after-start", reply(started(Hang())), "one two", mode="hasty", hangs=True),
    Row("silent-own-key", reply(hang), "client client", mode="hasty", pool=(), hangs=True),
    Row(
        "silent-always",
        lambda _: [Hang()] * 3,
        "one two one",
        mode="hasty",
        status=504,
        says="no answer within",
        headers={"x-should-retry": "false"},
        **REFUSED,
        hangs=True,
    ),
    Row("reset-after-request", reply(lambda _: Reset()), "one one", pool=("one",)),
    Row("closed-after-request", reply(lambda _: Fin()), "one one", pool=("one",)),
    Row("reset-after-headers", reply(opened(Reset())), "one two"),
    Row("reset-after-start", reply(started(Reset())), "one two"),
    Row("end-after-start", reply(started(End())), "one two"),
    Row("empty", reply(opened()), "one two"),
    Row("empty-body", reply(lambda _: whole(b"")), "one two"),
    Row("page", reply(page), "one two"),
    Row("page-always", reply(page, page), "one two", text="", finish=(), end="rejected"),
)
IN_BAND = (
    Row("in-band-overloaded", reply(in_band("overloaded")), "one two"),
    Row("in-band-server", reply(in_band("server")), "one two"),
    Row("in-band-server-twice", reply(in_band("server"), in_band("overloaded")), "one two two"),
    Row("in-band-server-own-key", reply(in_band("overloaded")), "client client", pool=()),
    Row("in-band-rate", reply(in_band("rate")), "one two"),
    Row("in-band-auth", reply(in_band("auth")), "one two"),
    Row(
        "in-band-request",
        reply(in_band("request")),
        client=ONCE,
        says="the provider says request",
        **REFUSED,
    ),
)
REJECTED = (
    Row("rate-rotates", reply(rejected(429, "rate", LATER)), "one two"),
    Row("rate-unstated-rotates", reply(rejected(429, "rate")), "one two"),
    Row("rate-waits", reply(rejected(429, "rate", NOW)), "one one", pool=("one",)),
    Row(
        "rate-too-long",
        reply(rejected(429, "rate", LATER)),
        pool=("one",),
        status=429,
        says="is rate-limited and is tried again in",
        headers={"retry-after": "60", "x-should-retry": "false"},
        **REFUSED,
    ),
    Row(
        "rate-unstated-too-long",
        reply(rejected(429, "rate")),
        mode="hasty",
        pool=("one",),
        client=ONCE,
        status=429,
        says="is rate-limited and is tried again in",
        headers={"retry-after": "60"},
        **REFUSED,
    ),
    Row(
        "all-limited",
        reply(rejected(429, "rate", LATER), rejected(429, "rate", SOON)),
        "one two",
        mode="hasty",
        calls=2,
        client=ONCE,
        status=429,
        says="no key of all-limited-",
        headers={"retry-after": "30"},
        **REFUSED,
    ),
    Row("auth", reply(rejected(401, "auth")), "one two"),
    Row(
        "auth-all",
        reply(rejected(401, "auth"), rejected(401, "auth")),
        "one two",
        status=401,
        says=UNTOUCHED,
        **REFUSED,
    ),
    Row("quota", reply(rejected(402, "quota")), "one two"),
    Row("quota-as-rate", reply(rejected(429, "quota")), "one two"),
    Row("forbidden", reply(rejected(403, "forbidden")), "one two"),
    *(
        Row(f"server-{status}", reply(rejected(status, "server")), "one two")
        for status in (500, 502, 503, 504, 529)
    ),
    Row("server-twice", reply(rejected(500, "server"), rejected(503, "overloaded")), "one two two"),
    Row(
        "server-always",
        lambda wire: [wire.error(500, "server")] * 3,
        "one two two",
        client=ONCE,
        status=500,
        says=UNTOUCHED,
        **REFUSED,
    ),
    Row(
        "server-poisoned",  # its SDK asks three times; that is one conversation, which pauses nobody
        lambda wire: [wire.error(500, "server")] * 7,
        "one two two one two one two",
        asked=3,
        status=500,
        says=UNTOUCHED,
        **REFUSED,
    ),
    Row("server-own-key", reply(rejected(502, "server")), "client client", pool=()),
    *(
        Row(
            f"request-{status}",
            reply(rejected(status, "request")),
            status=status,
            says=UNTOUCHED,
            **REFUSED,
        )
        for status in (400, 404, 413, 422)
    ),
    *(
        Row(
            f"{kind}-own-key",
            reply(rejected(status, kind, NOW)),
            CLIENT,
            pool=(),
            client=ONCE,
            status=status,
            says=UNTOUCHED,
            **REFUSED,
        )
        for status, kind in ((429, "rate"), (401, "auth"), (403, "forbidden"))
    ),
)
BEFORE = (*SILENCE, *IN_BAND, *REJECTED)
