"""Our own measurements: against the plain libraries, the courses, what a range test is worth."""
