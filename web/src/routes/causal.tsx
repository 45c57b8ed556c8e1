// What the latents do: put into and taken out of running models, as the paper did, one at a time, and in the answers.

import "../causal/causal.css";
import type { ReactNode } from "react";
import { Behaviours } from "../causal/behaviours.tsx";
import { type CausalState, parseCausalState, withCausalState } from "../causal/causal-state.ts";
import { Effects } from "../causal/effects.tsx";
import { Figure } from "../causal/figure.tsx";
import { Splice } from "../causal/splice.tsx";
import { currentQuery, goTo } from "../location.ts";
import { Failure, Loading, MissingPart, PartOf } from "../parts/states.tsx";
import { Terms } from "../parts/terms.tsx";
import { useCausal } from "../queries.ts";
import type { ScreenProps } from "../shell.tsx";

const SECTIONS = [
  ["experiment", "The paper’s experiment"],
  ["single", "One latent at a time"],
  ["behaviours", "Behaviours in the answers"],
  ["splice", "What the dictionary costs each model"],
] as const;

export function CausalScreen(props: ScreenProps): ReactNode {
  const { place, query } = props;
  const causal = useCausal(place);
  if (causal.isPending) return <Loading what="the causal experiment" />;
  if (causal.isError) return <Failure error={causal.error} retry={() => causal.refetch()} />;
  const { patching, effects, behaviours, splice, terms } = causal.data;
  const state = parseCausalState(query);
  const change = (to: Partial<CausalState>): void =>
    goTo(withCausalState(currentQuery(), to), { replace: true });
  const [experiment, single, answers, costs] = SECTIONS;
  // Where there is no experiment at all, every part says the same: once is enough.
  const isAbsent =
    patching.state !== "made" &&
    [effects, behaviours, splice].every((part) => part.state !== "made" && part.words === patching.words);
  return (
    <div className="causal">
      <header>
        <h1>What the latents do</h1>
        <p className="prose">
          Elsewhere latents are watched. Here they were put into running models: the base’s residual, with
          something added, goes through the fine-tune’s later blocks, and the KL then says how far the answers
          still are from the fine-tune’s own.
        </p>
      </header>
      {isAbsent ? (
        <MissingPart part={patching} />
      ) : (
        <>
          <section aria-labelledby={experiment[0]}>
            <h2 id={experiment[0]}>{experiment[1]}</h2>
            <PartOf part={patching}>
              {(value) => <Figure patching={value} state={state} onChange={change} />}
            </PartOf>
          </section>
          <section aria-labelledby={single[0]}>
            <h2 id={single[0]}>{single[1]}</h2>
            <PartOf part={effects}>
              {(value) => <Effects {...props} effects={value} state={state} onChange={change} />}
            </PartOf>
          </section>
          <section aria-labelledby={answers[0]}>
            <h2 id={answers[0]}>{answers[1]}</h2>
            <PartOf part={behaviours}>
              {(value) => <Behaviours behaviours={value} state={state} query={query} onChange={change} />}
            </PartOf>
          </section>
          <section aria-labelledby={costs[0]}>
            <h2 id={costs[0]}>{costs[1]}</h2>
            <PartOf part={splice}>{(value) => <Splice splice={value} />}</PartOf>
          </section>
        </>
      )}
      <Terms terms={terms} />
    </div>
  );
}
