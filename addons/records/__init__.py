"""What is written down of a call: one line on the log, plain data in the flow, the trace."""
