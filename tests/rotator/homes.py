"""What the tests of commands look at in settings."""

from addons.config.settings import Settings


def keys_of(settings: Settings) -> dict[str, list[str]]:
    """The keys of each pool, in order."""
    return {
        one.provider.name: [each.secret.get_secret_value() for each in one.credentials]
        for one in settings.providers
        if one.credentials
    }
