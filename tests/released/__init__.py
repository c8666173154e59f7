"""Databases of released versions, with runs that wait: each later version goes on with them.

`record` writes the databases of a new version, `test_upgrade` migrates those of all versions, and
`release_check` tries the files that are uploaded.
"""
