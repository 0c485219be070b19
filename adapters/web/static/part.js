/**
 * A part of a picture, and how it is shown: the corners of a line around it in percent of the picture's width and
 * height, "12.5,30 40,30 40,62.1"; "" is none.
 */

/** Outlines the part and dims the rest, in an SVG that lies over the picture and fits as the picture does. */
export function showPart(svg, part, { width, height } = {}) {
  svg.toggleAttribute("hidden", !width);
  if (!width) return;
  const line = part ? `${outline(cornersOf(part), { width, height })}Z` : "";
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.querySelector(".veil").setAttribute("d", line && `M0 0H${width}V${height}H0Z${line}`);
  svg.querySelector(".line")?.setAttribute("d", line);
}

export const cornersOf = (part) => part.split(" ").map((corner) => corner.split(",").map(Number));

/** The line through the corners, as an SVG path in pixels of the picture. */
export const outline = (corners, { width, height }) =>
  `M${corners.map(([x, y]) => `${(x * width) / 100} ${(y * height) / 100}`).join("L")}`;

/** The smallest rectangle around the corners. */
export function bounds(corners) {
  const [across, down] = [0, 1].map((axis) => corners.map((corner) => corner[axis]));
  const [left, top] = [Math.min(...across), Math.min(...down)];
  return { left, top, width: Math.max(...across) - left, height: Math.max(...down) - top };
}
