"""The peers' side of the comparison. It runs in an environment of its own, which has their packages
and none of ours: `bench/requirements-peers.txt`.
"""
