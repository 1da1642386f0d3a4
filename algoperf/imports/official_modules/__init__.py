"""What stands for modules that only the official package has: the names in them that a submission can need."""
