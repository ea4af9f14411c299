"""Carries out one Plan, idempotently, and chooses nothing.

`api` talks to the API server, `errors` says what may go wrong, `secrets` makes the one random thing there is,
`execute` is one `match` over the actions of a Plan. Called by the loop only.
"""
