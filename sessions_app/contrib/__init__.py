"""The applications that a project may install beside the runtime, which knows none of them."""
