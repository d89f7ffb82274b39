"""Numbers on the page: what is read, and beside it the exact value and the key of the result that it is."""

from __future__ import annotations

from archsim.report.page.markup import Html, el, join
from archsim.report.style import quantity

MINUS, TO = "\N{MINUS SIGN}", "\N{EN DASH}"
_PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
UNKNOWN = "unknown"


def number(value: float, key: str = "", text: str = "") -> Html:
    """A number of a result; key: its dotted path in the JSON file. text: how it reads, where not as a quantity.

    >>> number(1234.5678, "cycles.mean")
    '<data value="1234.5678" data-key="cycles.mean">1,235</data>'
    """
    return el("data", text or quantity(value), value=repr(value), data_key=key or None)


def whole(value: int, key: str = "") -> Html:
    """A count.

    >>> whole(12345, "images")
    '<data value="12345" data-key="images">12,345</data>'
    """
    return number(value, key, f"{value:,}")


def fraction(value: float | None, key: str = "", digits: int = 2) -> Html:
    """A fraction as percent, or that it is not known.

    >>> fraction(0.98765, "accuracy")
    '<data value="0.98765" data-key="accuracy">98.77 %</data>'
    """
    if value is None:
        return el("span", UNKNOWN, class_="quiet")
    return number(value, key, f"{100 * value:.{digits}f} %".replace("-", MINUS))


def factor(value: float, key: str = "") -> Html:
    """A ratio.

    >>> factor(8.2781, "baselines.0.speedup")
    '<data value="8.2781" data-key="baselines.0.speedup">8.28\xd7</data>'
    """
    return number(value, key, f"{value:.2f}\N{MULTIPLICATION SIGN}")


def signed(value: float, key: str = "") -> Html:
    """A difference.

    >>> signed(-0.5)
    '<data value="-0.5">\u22120.50</data>'
    """
    return number(value, key, f"{value:+.2f}".replace("-", MINUS))


def plus_minus(value: float, half_width: float | None, key: str, width_key: str) -> Html:
    """A value with the half width of its 95 % range, where that is known, to the same digit.

    >>> plus_minus(1.42923, 0.25131, "", "").replace("</data>", "").split(">")[1::2]
    ['1.429 ± <data value="0.25131"']
    """
    if half_width is None:
        return number(value, key)
    digits = len(quantity(value).partition(".")[2])
    width = f"{half_width:,.{digits}f}" if half_width >= 10**-digits else quantity(half_width)
    return join(number(value, key), f" {_PLUS_MINUS} ", number(half_width, width_key, width))


def labelled(value: float, key: str, text: str) -> Html:
    """A number inside an SVG, where there is no element of its own for one."""
    return el("tspan", text, data_value=repr(value), data_key=key)
