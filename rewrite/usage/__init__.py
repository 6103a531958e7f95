"""What calls used and cost: token classes, prices, the entry of one call. Pure."""
