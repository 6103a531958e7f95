"""A long run of a real mitmdump with the addon under mixed faults, and a verdict on what it leaves behind."""
