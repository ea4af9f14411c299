"""A policy replayed over what a Prometheus remembers: when it would have alarmed, and by which evidence.

    records   the policy, and what is known of versions, from files
    lane      one life of a version, judged pulse by pulse as the operator judges it
    replay    all lives of a model over a stretch of history
    told      the outcome as text and as JSON
    picture   the outcome drawn

Called by cli alone. It asks `observe.history`, counts in `observe.ledgers` and judges by `decide.judge`: nothing here
has an opinion of its own about a number.
"""
