"""What mitmweb and mitmproxy show of calls: content views, and attempts as flows of their own."""
