"""HTTP/2 as clients speak it, also where they lower the windows of streams that are open; and its end.

A window may fall below zero by that; its stream waits until it is above (RFC 9113, section 6.9.2). mitmproxy
takes such a window for a number of bytes to send, and h2 refuses: what came meanwhile was lost to the client.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade: `Http2Connection`: h2_conf,
h2_conn; `BufferedH2Connection`: stream_buffers, whose bytes hold back what send_data gets after them, and go
out while the window is above zero.
"""

from h2.connection import ConnectionState
from mitmproxy.proxy import commands, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._http2 import Http2Server
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection, SendH2Data

_NOTHING = SendH2Data(b"", end_stream=False)


class ClientHttp2(Http2Server):
    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.h2_conn = _Windowed(self.h2_conf)

    def let_go(self) -> layer.CommandGenerator[None]:
        """The client asks elsewhere from now on; nothing while it has asked something here."""
        if self.h2_conn.open_inbound_streams or self.h2_conn.state_machine.state is ConnectionState.CLOSED:
            return
        self.h2_conn.close_connection()
        yield commands.SendData(self.conn, self.h2_conn.data_to_send())
        yield commands.CloseConnection(self.conn)


class _Windowed(BufferedH2Connection):
    """Keeps what it is given for a stream whose window is below zero."""

    def send_data(  # type: ignore[override]  # as the class of mitmproxy has it
        self, stream_id: int, data: bytes, end_stream: bool = False, pad_length: None = None
    ) -> None:
        if self.local_flow_control_window(stream_id) < 0 and not self.stream_buffers.get(stream_id):
            self.stream_buffers[stream_id].append(_NOTHING)
        super().send_data(stream_id, data, end_stream, pad_length)
