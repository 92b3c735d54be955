"""The page that ``rainclear serve`` shows in a browser."""
