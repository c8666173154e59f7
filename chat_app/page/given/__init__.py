"""What people give on the page: its forms as they are sent. The page's views and URLs import it."""
