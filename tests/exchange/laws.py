"""What the property tests of ``exchange`` share: how they run, and JSON of every shape."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

#: A busy machine makes no law untrue.
law = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

#: Any JSON value, the illegal NaN and lone surrogates included.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
