"""How things show themselves in a notebook: small HTML that needs neither script nor network."""
