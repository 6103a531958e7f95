"""The pages of the proxy at http://rotator.local/, and the same in mitmweb."""
