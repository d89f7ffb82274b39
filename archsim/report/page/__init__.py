"""``archsim report``: a result as one HTML page that needs nothing but a browser.

:mod:`~archsim.report.page.assemble` is the order of the sections; every other module makes some of them from a result.
"""
