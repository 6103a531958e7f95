"""On which terms a provider served, where that has a price of its own."""

from protocols.model.wirejson import JsonObject

_USUAL = frozenset({"", "default", "standard", "auto", "on_demand"})


def tier_of(*places: JsonObject, name: str = "service_tier") -> str | None:
    """As the first of them that says it in a field of this name, in lower case. None: on the usual ones."""
    for place in places:
        tier = place.get(name)
        if isinstance(tier, str) and tier.lower() not in _USUAL:
            return tier.lower()
    return None
