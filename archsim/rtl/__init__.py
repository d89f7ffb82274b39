"""Hardware twins: the supporting modules as RTL in Amaranth, equal to the simulated ones in every bit and cycle.

A signal that is visible in clock cycle t is what the simulation calls an event at cycle t; what happens *in* cycle t
(a group of values on the write path) is complete at event t + 1. Needs the extra ``rtl``.
"""
