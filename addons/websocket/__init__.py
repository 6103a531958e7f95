"""WebSockets of providers: passed on, or bridged to calls over HTTP."""
