"""Direct, a bare mitmdump that streams, and rotator, side by side against one provider process.

The rounds are interleaved (A B C, B C A, ...), so that a machine that slows down slows all alike, and CPU is
that of the proxy's process alone, user and system. Ratios travel between machines, milliseconds do not.
"""
