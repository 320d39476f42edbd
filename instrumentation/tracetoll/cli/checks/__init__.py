"""What `tracetoll doctor` looks at; each module finds out one thing and prints nothing."""
