"""Ways to cache by the names that they have in configs, paths, command lines and labels; a file for each.

A method is a schedule (when), a branch (where) and a reuse (what). What lies in this folder or in beyond/methods is
found by itself: a new schedule or reuse is one class in one new file. Imports nothing heavy.
"""
