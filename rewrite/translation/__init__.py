"""A call in another protocol than its client: the request, the answer, the stream, the error."""
