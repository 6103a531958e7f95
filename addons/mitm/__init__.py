"""mitmproxy's mechanics: its layers, its streams and its messages. Knows nothing of calls."""
