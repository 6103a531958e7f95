"""The configuration: read, checked, and watched for changes."""
