/**
 * Regions of images. A region is a polygon, written as its points in percent of the image's width and height:
 * "12.5,30 40,30 40,62.1". The empty string is no region.
 */

/** Outlines the region and dims the rest of the image, in an SVG that covers the image. */
export function showRegion(svg, region, { width, height } = {}) {
  svg.toggleAttribute("hidden", !width);
  if (!width) return;
  const path = region ? `${outline(parsePolygon(region), { width, height })}Z` : "";
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.querySelector(".veil").setAttribute("d", path && `M0 0H${width}V${height}H0Z${path}`);
  svg.querySelector(".outline")?.setAttribute("d", path);
}

/** Returns the points of a region as pairs of numbers. */
export const parsePolygon = (region) => region.split(" ").map((point) => point.split(",").map(Number));

/** Returns the polygon as an open SVG path in pixels of the image. */
export const outline = (polygon, { width, height }) =>
  `M${polygon.map(([x, y]) => `${(x * width) / 100} ${(y * height) / 100}`).join("L")}`;

/** Returns the smallest rectangle around the polygon, in percent. */
export function bounds(polygon) {
  const [xs, ys] = [0, 1].map((axis) => polygon.map((point) => point[axis]));
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  return { left, top, width: Math.max(...xs) - left, height: Math.max(...ys) - top };
}
