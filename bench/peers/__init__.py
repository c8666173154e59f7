"""The peers' side of the comparison.

The scripts run in a separate environment with the peers' packages and none of ours:
`bench/requirements-peers.txt`.
"""
