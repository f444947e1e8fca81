"""Plain functions that return a compiled `keras.Model`, and the checks of their signatures."""
