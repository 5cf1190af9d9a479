"""The method: when to run the U-Net fully, where to cut it, what replaces the skipped feature.

schedules (when), branches and shallow (where), reuse (what), clock and streams (whose step a call is), engine (all of
them put together).
"""
