"""A project of somebody else that installs the package, as docs/install.md says."""
