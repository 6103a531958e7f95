"""What a provider needs that no data can say: the code that it registers, and where that is called."""
