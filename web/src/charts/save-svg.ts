// Saves a chart of the page as a file that looks the same without the page: custom properties replaced by their values.

/** Does nothing without a chart. */
export function saveSvg(chart: SVGSVGElement | null | undefined, name: string): void {
  if (chart == null) return;
  const copy = chart.cloneNode(true) as SVGSVGElement;
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  const style = getComputedStyle(document.documentElement);
  const text = new XMLSerializer()
    .serializeToString(copy)
    .replace(/var\(--([a-z0-9-]+)(?:,[^()]*)?\)/g, (_, property) =>
      style.getPropertyValue(`--${property}`).trim(),
    );
  saveFile(new Blob([text], { type: "image/svg+xml" }), `${name}.svg`);
}

export function saveFile(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // The download has taken hold of the content by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
