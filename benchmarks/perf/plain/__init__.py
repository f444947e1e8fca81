"""The plain libraries as their users write them: programs that know nothing of this project.

Each is run as `python <file> <data.npz> …` and prints one JSON object as its last line.
"""
