// A table that may come after a report.

/** absent: not made. outdated: of another dictionary, measurement or pair than the study's of today. */
export type LateTable<T> = { state: "absent" } | { state: "outdated" } | { state: "made"; value: T };
