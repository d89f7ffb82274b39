"""Results as pictures. Nothing here simulates; everything is drawn from results alone.

A plot is one function ``draw_x(results, figure)`` and one line in :mod:`archsim.report.kinds`.
"""
