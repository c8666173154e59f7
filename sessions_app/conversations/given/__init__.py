"""What people give beside messages and answers. Front ends, hosting and operations import it."""
