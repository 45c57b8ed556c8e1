// One latent, seen from both models: the verdict and its reasons, the decoders, what it says, where it fires, what it does, what people say.
//
// The address keeps the table's selection, so that j and k step through it here as they do there.

import { type ReactNode, useMemo, useState } from "react";
import type { LatentPage } from "../../../src/dashboard/api-contract.ts";
import { formatCount, formatFixed, formatNumber, toNumber } from "../format.ts";
import { LabLinks } from "../labs/lab-links.tsx";
import { Causal } from "../latent/causal.tsx";
import { Decoders } from "../latent/decoders.tsx";
import { Examples } from "../latent/examples.tsx";
import { Lens } from "../latent/lens.tsx";
import { Near } from "../latent/near.tsx";
import { conflictingNote, NoteConflict } from "../latent/note-conflict.tsx";
import { NoteEditor } from "../latent/note-editor.tsx";
import { Strength } from "../latent/strength.tsx";
import { Where } from "../latent/where.tsx";
import { goTo } from "../location.ts";
import { Link } from "../parts/link.tsx";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { Empty, Failure, Loading, PartOf } from "../parts/states.tsx";
import { SidedWords, sideOf } from "../parts/token.tsx";
import { useColumnList, useLatent, useNotes, useNoteWriter } from "../queries.ts";
import type { ScreenProps } from "../shell.tsx";
import { useTriageKeys } from "../table/triage.ts";
import { allColumns, useSelection } from "../table/use-selection.ts";
import { showInvisible } from "../visible-text.ts";

/** Above it a latent leans to the fine-tune: the colour of its examples. */
const LEANS_FROM = 0.5;
const NO_COLUMNS: readonly string[] = [];

export function LatentScreen(props: ScreenProps): ReactNode {
  const { dictionary, query } = props;
  const latent = Number(query.get("latent") ?? Number.NaN);
  const isThere = Number.isInteger(latent) && latent >= 0 && latent < dictionary.nLatents;
  if (!isThere) {
    return (
      <Empty>
        This dictionary has the latents 0 to {formatCount(dictionary.nLatents - 1)}; this is none of them.
      </Empty>
    );
  }
  return <OfLatent {...props} latent={latent} />;
}

function OfLatent({ place, dictionary, query, latent }: ScreenProps & { latent: number }): ReactNode {
  const page = useLatent(place, latent);
  const notes = useNotes(place);
  const writer = useNoteWriter(place);
  const columnList = useColumnList(place);
  const list = useMemo(() => allColumns(columnList.data ?? []), [columnList.data]);
  const selection = useSelection({ place, dictionary, query, list, notes, extraColumns: NO_COLUMNS });
  const { order } = selection;
  const at = useMemo(() => order.indexOf(latent), [order, latent]);

  const to = (of: number): URLSearchParams => {
    const next = new URLSearchParams(query);
    next.set("screen", "latent");
    next.set("latent", String(of));
    next.set("at", String(of));
    next.delete("bin");
    return next;
  };
  const table = new URLSearchParams(query);
  table.set("screen", "latents");
  table.set("at", String(latent));
  table.delete("latent");
  table.delete("bin");
  const previous = at > 0 ? order[at - 1] : null;
  const next = at >= 0 && at + 1 < order.length ? order[at + 1] : null;
  const conflict = conflictingNote(writer.error);
  /** Editings of the note that were given up for another's version. */
  const [begun, setBegun] = useState(0);
  const isStarred = notes.starred.has(latent);
  const star = (): void => writer.mutate({ latent, change: { starred: !isStarred } });
  useTriageKeys({
    ...(next !== null && { j: () => goTo(to(next)) }),
    ...(previous !== null && { k: () => goTo(to(previous)) }),
    s: star,
    l: () => document.getElementById("note-label")?.focus(),
    t: () => document.getElementById("note-tags")?.focus(),
  });

  return (
    <article className="latent">
      <div className="bar">
        <Link to={table}>Table</Link>
        {previous === null ? (
          <span className="note">first</span>
        ) : (
          <Link to={to(previous)}>← latent {previous}</Link>
        )}
        {next === null ? <span className="note">last</span> : <Link to={to(next)}>latent {next} →</Link>}
        {at >= 0 && (
          <span className="note">
            {formatCount(at + 1)} of {formatCount(order.length)} in the table
          </span>
        )}
        {at < 0 && !selection.isLoading && selection.search.isDone && (
          <span className="note">not among the table’s {formatCount(order.length)}</span>
        )}
      </div>
      {page.isPending && <Loading what={`latent ${latent}`} />}
      {page.isError && <Failure error={page.error} retry={() => page.refetch()} />}
      {page.isSuccess && (
        <>
          <Head page={page.data} isStarred={isStarred} onStar={star} />
          {writer.isError && conflict === null && <Failure error={writer.error} />}
          <Body page={page.data} place={place} query={query} to={to} />
          <section aria-labelledby="note">
            <h2 id="note">Label and notes</h2>
            {conflict !== null && writer.variables !== undefined && (
              <NoteConflict
                latent={writer.variables.latent}
                theirs={conflict}
                mine={writer.variables.change}
                onMine={() =>
                  writer.mutate({
                    latent: writer.variables.latent,
                    change: { ...writer.variables.change, seen: conflict.updated },
                  })
                }
                onTheirs={() => {
                  writer.reset();
                  setBegun((times) => times + 1);
                }}
              />
            )}
            <PartOf part={page.data.note}>
              {(note) => (
                <NoteEditor
                  key={`${latent} ${begun}`}
                  note={note}
                  isSaving={writer.isPending}
                  onSave={(change) => writer.mutate({ latent, change })}
                />
              )}
            </PartOf>
          </section>
        </>
      )}
    </article>
  );
}

function Head(options: { page: LatentPage; isStarred: boolean; onStar: () => void }): ReactNode {
  const { page, isStarred, onStar } = options;
  const { claim = "", verdict = "", latentClass = "", exclusion = "" } = page.categories;
  return (
    <header className="latent-head">
      <h1>
        Latent {page.latent}
        {page.note.state === "made" && page.note.value.label !== "" && (
          <>
            : <bdi>{showInvisible(page.note.value.label)}</bdi>
          </>
        )}{" "}
        <button
          type="button"
          className="star-button"
          aria-pressed={isStarred}
          aria-label="Star"
          onClick={onStar}
        >
          {isStarred ? "★" : "☆"}
        </button>
      </h1>
      <p className="verdict">
        {claim !== "" && claim !== "none" ? <SidedWords words={claim} /> : "no claim"}
        {latentClass !== "" && <> · by norm {latentClass}</>}
        {verdict !== "" && (
          <>
            {" "}
            · verdict <b>{verdict}</b>
          </>
        )}
        {exclusion !== "" && <> · not judged: {exclusion}</>}
      </p>
      {page.reasons.length > 0 && (
        <ul className="reasons">
          {page.reasons.map((reason) => (
            <li key={reason}>{reason}</li>
          ))}
        </ul>
      )}
    </header>
  );
}

function Body(options: {
  page: LatentPage;
  place: ScreenProps["place"];
  query: URLSearchParams;
  to: (latent: number) => URLSearchParams;
}): ReactNode {
  const { page, place, query, to } = options;
  const deltaNorm = toNumber(page.numbers.deltaNorm);
  const side = sideOf(page.categories.claim ?? "") ?? (deltaNorm < LEANS_FROM ? "base" : "finetuned");
  return (
    <>
      <div className="two">
        <section aria-labelledby="decoders">
          <h2 id="decoders">In each model</h2>
          <Decoders numbers={page.numbers} />
        </section>
        <section aria-labelledby="strength">
          <h2 id="strength">How strongly it fires</h2>
          <Strength page={page} side={side} />
        </section>
      </div>
      <section aria-labelledby="examples">
        <h2 id="examples">Where it fires in text</h2>
        <Examples key={page.latent} place={place} latent={page.latent} side={side} query={query} />
      </section>
      <section aria-labelledby="lens">
        <h2 id="lens">Tokens its directions raise and lower</h2>
        <Lens lens={page.lens} />
      </section>
      <section aria-labelledby="where">
        <h2 id="where">Which tokens it fires on</h2>
        <Where page={page} />
      </section>
      <div className="two">
        <section aria-labelledby="near">
          <h2 id="near">Twins and nearest latents</h2>
          <Near page={page} to={to} />
        </section>
        <section aria-labelledby="effect">
          <h2 id="effect">What it does to the answers</h2>
          <Causal part={page.causal} />
          <LabLinks latent={page.latent} query={query} />
        </section>
      </div>
      <section aria-labelledby="numbers">
        <h2 id="numbers">Every number</h2>
        <details>
          <summary>{formatCount(Object.keys(page.numbers).length)} numbers of this latent</summary>
          <ScrollRegion className="scroll short" label="Table of every number">
            <table className="counts">
              <tbody>
                {Object.entries(page.numbers).map(([name, value]) => (
                  <tr key={name}>
                    <th scope="row">{name}</th>
                    <td title={String(value)}>
                      {Number.isInteger(value)
                        ? formatFixed(toNumber(value), 0)
                        : formatNumber(toNumber(value))}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </ScrollRegion>
        </details>
      </section>
    </>
  );
}
