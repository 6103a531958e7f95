"""JSON of any form, and paths into it, for properties."""

from hypothesis import strategies as st

from rewrite.fields.paths import EVERY, Step, Steps

NAMES = st.sampled_from(["a", "b", "id", "tool_calls", "content", "x.y", 'q"', "", "*", "[0]", "^"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(allow_nan=False),
    st.sampled_from(["", "s", "\ud800"]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=5)
PLACES: st.SearchStrategy[Step] = st.one_of(NAMES, st.integers(-3, 3))
STEPS: st.SearchStrategy[Steps] = st.lists(st.one_of(PLACES, st.just(EVERY)), min_size=1, max_size=4).map(
    tuple
)
PLAIN_STEPS: st.SearchStrategy[Steps] = st.lists(PLACES, min_size=1, max_size=4).map(tuple)
