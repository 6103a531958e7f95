"""Fields that a provider wants back, through a real proxy."""
