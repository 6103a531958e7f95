"""The rest of an answer that was cut: how it is asked for, and how two answers become one stream."""
