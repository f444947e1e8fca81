"""What may be varied: `Int`, `Float`, `Choice`, and the `Space` they make."""
