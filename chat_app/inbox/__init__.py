"""The inbox, without HTML: the questions that wait for a person, read by section and counted."""
