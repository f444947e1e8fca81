"""The same command once more after its search has ended: answered from the files.

Nothing is asked of an engine, and TensorFlow is imported where the study file does it alone.
"""
