"""The page of what calls used and cost: `GET /usage?since=7d&by=provider,model`."""

from datetime import datetime

from addons.pages.reply import Reply, json_reply, text_reply
from addons.pages.site import BadQuery, Query, View
from addons.team.team_usage import Team
from addons.usage.database import Trouble
from addons.usage.ledger import Ledger
from addons.usage.queries import MEMORY, SINCE, USUAL, as_data, by_of, since_of


def usage_view(ledger: Ledger, team: Team) -> View:
    """What the ledger says, or the store of several proxies, as JSON: what `rotator usage --json` prints."""

    def view(query: Query) -> Reply:
        since, by = (query.get(name, [default])[-1] for name, default in (("since", SINCE), ("by", USUAL)))
        try:
            begin, names = since_of(since, datetime.now().astimezone()), by_of(by)
            if all_proxies := team.usage(begin, names):
                said = as_data(all_proxies.usage, all_proxies.kept)
                return json_reply(200, said | {"proxies": all_proxies.proxies})
            said = as_data(ledger.usage(begin, names), str(ledger.file or MEMORY))
            return json_reply(200, said | {"alone": True} if team.is_alone else said)
        except ValueError as error:
            raise BadQuery(str(error)) from None
        except Trouble as error:
            return text_reply(503, f"usage cannot be read: {error}")

    return view
