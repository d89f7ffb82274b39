"""Images of the run: what left where, and whether it was right."""

from __future__ import annotations

from collections.abc import Sequence

from archsim.report.page.exits import exit_colour, taken_exits
from archsim.report.page.markup import Html, el, join
from archsim.report.page.numbers import number, whole
from archsim.report.page.png import data_uri, thumbnail
from archsim.report.page.section import Section, says
from archsim.report.page.sources import Pictures, Subject
from archsim.results.run_result import ImageResult, RunResult

_SHOWN = 96
"""Images of the gallery, so that the page of a large run is no larger."""
_MOST_AN_EXIT = 24
_SIDE_PX = 64
_ANSWERS = (("any", "all"), ("right", "right"), ("wrong", "wrong"))


def chosen(result: RunResult) -> list[ImageResult]:
    """Images to show, in their order: of each exit equally many, half of those wrong where so many are."""
    taken = taken_exits(result)
    places = min(_MOST_AN_EXIT, max(1, _SHOWN // max(1, len(taken))))
    found: list[ImageResult] = []
    for name in taken:
        here = [image for image in result.per_image if image.exit == name]
        wrong = [image for image in here if image.prediction != image.label]
        right = [image for image in here if image.prediction == image.label]
        few = min(len(wrong), max(places // 2, places - len(right)))
        found += [*spread(wrong, few), *spread(right, places - few)]
    return spread(sorted(found, key=lambda image: image.index), _SHOWN)


def spread(images: Sequence[ImageResult], count: int) -> list[ImageResult]:
    """At most so many of them, evenly from first to last.

    >>> spread(range(10), 4), spread(range(2), 4)
    ([0, 2, 5, 7], [0, 1])
    """
    if len(images) <= count:
        return list(images)
    return [images[place * len(images) // count] for place in range(count)]


def gallery_section(subject: Subject, shown: Sequence[ImageResult], found: Pictures) -> Section:
    """Thumbnails with a filter by exit and by answer; or why there are none."""
    if found.missing:
        return Section("images", "Images", says(found.missing))
    result = subject.result
    spec = subject.workload.spec if subject.workload else None
    names = (spec.dataset.class_names or []) if spec else []
    tiles = [_tile(result, image, found, names) for image in shown]
    origin = ""
    if spec is not None and subject.asked.data is None:
        origin = ". ".join(part for part in (spec.dataset.source, spec.dataset.licence) if part)
    body = join(
        says(_remark(result, len(shown))),
        _filters(result),
        el(
            "p", whole(len(shown)), f" of {len(shown)} images", id="shown", class_="quiet", aria_live="polite"
        ),
        el("ul", *tiles, class_="gallery"),
        says(f"Images: {origin}.") if origin else None,
    )
    return Section("images", "Images", body)


def _remark(result: RunResult, shown: int) -> str:
    if shown == result.images:
        return "All images of the run."
    return (
        f"{shown} of {result.images:,} images: equally many of each exit, where there are so many, and up to half of "
        "them wrong ones. Shares are those above, not those of this selection."
    )


def _filters(result: RunResult) -> Html:
    exits = [("any", "all exits"), *((name, name) for name in taken_exits(result))]
    return el(
        "form",
        _choice("exit", "Left at", exits),
        _choice("answer", "Answer", _ANSWERS),
        class_="filters",
        hidden=True,
    )


def _choice(name: str, legend: str, options: Sequence[tuple[str, str]]) -> Html:
    buttons = [
        el(
            "label",
            el("input", type="radio", name=name, value=value, checked=value == "any"),
            el("span", words),
        )
        for value, words in options
    ]
    return el("fieldset", el("legend", legend), *buttons)


def _tile(result: RunResult, image: ImageResult, found: Pictures, names: Sequence[str]) -> Html:
    pixels = thumbnail(found.by_index[image.index], _SIDE_PX)
    right = image.prediction == image.label
    said, meant = _class_name(image.prediction, names), _class_name(image.label, names)
    alt = f"Image {image.index}: {meant}, taken for {said}, left at {image.exit}"
    verdict = "right" if right else f"wrong: is {meant}"
    return el(
        "li",
        el(
            "img",
            src=data_uri(pixels),
            alt=alt,
            width="72",
            height=f"{72 * pixels.shape[0] / pixels.shape[1]:.0f}",
        ),
        el("strong", said, class_="said"),
        el("span", verdict, class_="verdict"),
        el("span", image.exit, class_=f"exit {exit_colour(result, image.exit)}"),
        el("span", number(image.cycles, text=f"{image.cycles:,}"), " cycles", class_="quiet"),
        data_exit=image.exit,
        data_answer="right" if right else "wrong",
    )


def _class_name(label: int | None, names: Sequence[str]) -> str:
    if label is None:
        return "unknown"
    return names[label] if label < len(names) else f"class {label}"
