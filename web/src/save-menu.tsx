// What can be taken away from any screen: the report, and the commands for files that are too large for a page.

import { useMutation } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { type DictionaryPlace, fetchReport } from "./api.ts";
import { saveFile } from "./charts/save-svg.ts";
import { Link } from "./parts/link.tsx";
import { Failure } from "./parts/states.tsx";

export function SaveMenu({
  place,
  tableQuery,
}: {
  place: DictionaryPlace;
  /** The address of the latents table, where selections are saved. */
  tableQuery: URLSearchParams;
}): ReactNode {
  const report = useMutation({
    mutationFn: () => fetchReport(place),
    onSuccess: (content) => saveFile(content, "report.html"),
  });
  return (
    <details className="menu save-menu">
      <summary>Save</summary>
      <div className="menu-body">
        <button type="button" disabled={report.isPending} onClick={() => report.mutate()}>
          The report, one HTML file
        </button>
        {report.isError && <Failure error={report.error} />}
        <p>
          CSV or Parquet of a selection: in <Link to={tableQuery}>the table</Link>. A chart: its SVG button.
        </p>
        <p>
          Neuronpedia’s layout, a source set for each model:{" "}
          <code>tunediff export STUDY --neuronpedia FOLDER</code>
        </p>
      </div>
    </details>
  );
}
