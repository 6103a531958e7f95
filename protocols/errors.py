"""What can be wrong with bytes: whose fault it is decides the class."""


class ProtocolError(ValueError):
    """Base of the faults below; the message names what was wrong, never the content of a credential."""


class MalformedRequest(ProtocolError):
    """The client's bytes are not what the protocol asks for. The provider is still asked: it answers 400."""


class MalformedStream(ProtocolError):
    """The provider's bytes cannot be framed at all."""
