"""Boxes drawn at random: is each trial planned onto the right kind of slot?"""
