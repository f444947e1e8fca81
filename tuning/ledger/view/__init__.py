"""What the files say of one search, whole and at once: for whoever shows or uses it afterwards.

Of a search that runs as of one that has ended; no TensorFlow, no engine, and nothing is written.
"""
