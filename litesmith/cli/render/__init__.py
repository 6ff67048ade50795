"""Results for people: tables on standard output, pages and pictures."""
