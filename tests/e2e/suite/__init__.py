"""The fault suite S1 to S20: every fault, in every protocol, as unmodified SDKs see it."""
