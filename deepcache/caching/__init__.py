"""The method: when to run the U-Net fully, where to cut it, what replaces the skipped feature.

schedules (when), branches and shallow (where), reuse (what), engine (the three put together).
"""
