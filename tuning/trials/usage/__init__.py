"""What a worker measures of itself and of its own devices while it trains."""
