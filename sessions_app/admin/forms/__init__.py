"""What operators fill in on the pages of a row."""
