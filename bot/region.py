"""Parses the region of a picture that a user marked: a polygon in percent of width and height. Pure."""

import re

MAX_POINTS = 100
WHOLE_IMAGE = "whole"
NAMED_REGIONS = {  # for platforms on which users cannot draw
    WHOLE_IMAGE: "",
    "left": "0,0 50,0 50,100 0,100",
    "right": "50,0 100,0 100,100 50,100",
    "upper": "0,0 100,0 100,50 0,50",
    "lower": "0,50 100,50 100,100 0,100",
    "middle": "25,25 75,25 75,75 25,75",
}
_POINT = re.compile(r"(\d{1,3}(?:\.\d{1,3})?),(\d{1,3}(?:\.\d{1,3})?)", re.ASCII)


def find_region(name: str) -> str:
    """Return the polygon of a named region; empty for the whole picture and for an unknown name."""
    return NAMED_REGIONS.get(name, "")


def parse_polygon(region: str) -> tuple[tuple[float, float], ...]:
    """Parse a polygon such as `12.5,30 40,30 40,62` into its points.

    A point is x from the left and y from the top, 0 to 100 percent of the picture. Raises ValueError.
    """
    told = region.split(" ")
    found = [_POINT.fullmatch(corner) for corner in told[: MAX_POINTS + 1]]
    points = tuple((float(each[1]), float(each[2])) for each in found if each)
    if not 3 <= len(points) == len(told) <= MAX_POINTS or any(max(point) > 100 for point in points):
        raise ValueError(
            f"A part of a picture is 3 to {MAX_POINTS} corners in percent of its width and height, "
            "such as “10,20 40,20 40,62.5”."
        )
    return points
