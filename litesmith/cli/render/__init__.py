"""Results for people: tables and bars on standard output."""
