"""What is made of a search once its trials are there: report, summary, stores brought up to date.

Of a search that has just been trained and of one that had ended before it is the same.
"""
