// The words of the report, each defined once: the short form is shown on hover, the long one in the glossary.
//
// The same words as docs/glossary.md and the tables; thresholds are not repeated here, the page shows those stored with the result.

import { type Html, html } from "./html.ts";

export interface Term {
  name: string;
  /** One sentence, for hovering. */
  short: string;
  /** More, for the glossary; empty when the short form says it all. */
  more: string;
}

export const TERMS = {
  base: {
    name: "base, finetuned",
    short: "The two models compared: before and after fine-tuning.",
    more: "Names that end in Base or Finetuned belong to one of them.",
  },
  residual: {
    name: "residual after layer L",
    short: "The hidden state that leaves block L (counted from 0), one vector a token.",
    more: "This is what the dictionary was trained on, both models side by side.",
  },
  latent: {
    name: "latent",
    short: "One entry of the shared dictionary: one detector, and one decoder direction in each model.",
    more: "It fires on some tokens and then adds its direction, times its code, to the reconstruction of each model.",
  },
  code: {
    name: "code",
    short: "How strongly a latent fires on a token before any weighting.",
    more: "Decoding and Latent Scaling use it.",
  },
  activation: {
    name: "activation",
    short: "Code times the sum of both decoder norms; comparable between latents.",
    more: "Selection, the firing threshold, maxima, examples and the shading of tokens use it. Unit: that of the (normalised) residual.",
  },
  fve: {
    name: "FVE",
    short: "Fraction of variance explained: 1 minus squared error over variance, pooled over all rows.",
    more: "1 is perfect, 0 no better than the mean. BOS tokens and rows of outlying norm are left out unless stated.",
  },
  l0: { name: "L0", short: "Latents that fire on a token, on average.", more: "" },
  dead: { name: "dead", short: "Silent on every held-out row.", more: "" },
  deltaNorm: {
    name: "deltaNorm",
    short: "Which model's decoder carries the latent: 0 base only, 0.5 both alike, 1 finetuned only.",
    more: "It compares the lengths of the two decoder directions: ½ · ((finetuned − base) / max(finetuned, base) + 1). A lean by norm alone proves nothing; see Latent Scaling.",
  },
  class: {
    name: "class",
    short: "Band of deltaNorm: base-only, shared, finetuned-only, or other.",
    more: "",
  },
  decoderCosine: {
    name: "decoder cosine",
    short: "Cosine of the angle between the latent's two decoder directions.",
    more: "Near 1 the latent means the same in both models. Without meaning when one of the two is almost zero, and absent when the models differ in width.",
  },
  scaling: {
    name: "Latent Scaling",
    short: "Asks how far a latent's direction is useful for each model, whatever the decoder norms say.",
    more: "For a target (the residual, its reconstruction, or the error left without this latent) beta is the best multiple of the latent's contribution. nu is the ratio of the two models' betas: the model that should lack the concept over the one that has it. Models of different width are each read along their own direction. Minder et al. 2025, arXiv:2504.02922.",
  },
  nuReconstruction: {
    name: "nuReconstruction",
    short:
      "How much of the direction the other model's reconstruction holds, relative to this one's. Near 0: none.",
    more: "High values mean that other latents already stand for the concept there (latent decoupling).",
  },
  nuError: {
    name: "nuError",
    short:
      "How much of the direction is left unexplained in the other model, relative to this one. Near 0: none.",
    more: "High values mean that the concept is there but the dictionary shrank it away (complete shrinkage).",
  },
  nuActivation: {
    name: "nuActivation",
    short:
      "How much of the direction the other model's residual holds, relative to this one's. Near 0: none.",
    more: "Shown for information; claims are decided by the other two.",
  },
  claim: {
    name: "claim",
    short:
      "A latent judged specific to one model: it leans there by norm and both nu are below their thresholds.",
    more: "finetuned-specific: the fine-tune has it and the base lacks it. base-specific: the mirror, what was lost.",
  },
  interval: {
    name: "95 % limits",
    short: "Where a nu would lie, 95 times in 100, had other documents of the same kind been read.",
    more: "Held-out documents are dealt into 64 groups; the groups are drawn anew many times and the nu computed each time. An end is without limit where a beta it divides by may be 0.",
  },
  verdict: {
    name: "verdict",
    short: "What the 95 % limits of both nu say of a latent that leans to one model.",
    more: "genuine: both lie below their thresholds. complete shrinkage: nuError lies above. latent decoupling: nuReconstruction lies above. uncertain: a limit is on the other side. too rare: too few documents. A claim needs only the nu themselves, so a claim may be uncertain.",
  },
  qValue: {
    name: "q-value",
    short: "Share of false claims to expect among this claim and all that are as specific or more.",
    more: "Estimated from null pairs: the base model against itself with noise on its weights, changed as much as by the fine-tune, sent through the same pipeline. Nothing that is claimed there was learned. Made by `tunediff null STUDY`.",
  },
  foundAgain: {
    name: "found again",
    short: "Another dictionary has this latent: mutually nearest decoder rows, firing on the same tokens.",
    more: "Compared with dictionaries trained from other seeds or of other sizes. Claimed there too: its match is specific to the same model there. Made by `tunediff stability STUDY`.",
  },
  spread: {
    name: "as if spread evenly over N documents",
    short: "Number of documents that would give the same entropy, had each an equal share of the activation.",
    more: "exp of the entropy over documents. Far below the number of documents it fires in: few documents carry it.",
  },
  quantiles: {
    name: "activation quantiles",
    short: "Levels that a stated share of its firings stays below.",
    more: "Over held-out rows on which it fires.",
  },
  peakTokens: {
    name: "tokens at the peak",
    short: "The token of each document on which the latent is strongest, and the token before it.",
    more: "Counted once a document. For latents with very many tokens the counts are lower bounds.",
  },
  nearest: {
    name: "nearest latents",
    short: "Other latents whose decoder rows point the most nearly the same way (cosine).",
    more: "Given for the finetuned rows, for the base rows, and for this latent's finetuned row against the other latents' base rows.",
  },
  twin: {
    name: "twin",
    short: "A latent of the other side with nearly the same direction: cosine above 0.9.",
    more: "Then one concept may have been written down twice, once a model.",
  },
  divergence: {
    name: "activation divergence",
    short: "How seldom two twins are strong on the same tokens: 0 always together, 1 never.",
    more: "Given with two sets of thresholds: those of the paper's text and those of its code.",
  },
  flagged: {
    name: "flagged",
    short: "Finetuned-only by norm and judged, but no claim: a nu is at or above its threshold.",
    more: "Flagged surely: a lower 95 % limit of a nu lies above its threshold.",
  },
  exclusion: {
    name: "exclusion",
    short: "Why a latent could not be judged for a side.",
    more: "Excluded latents are counted by reason, never dropped in silence.",
  },
  rank: {
    name: "rank",
    short: "Claims ordered by the sum of their ranks in nuError and nuReconstruction; 1 is most specific.",
    more: "",
  },
  frequency: { name: "frequency", short: "Share of held-out rows on which the latent fires.", more: "" },
  documents: {
    name: "documents",
    short: "Held-out documents in which the latent fires at least once.",
    more: "",
  },
  maxActivation: {
    name: "max activation",
    short: "Its largest activation on held-out rows.",
    more: "The shading of its examples is relative to it.",
  },
  templateShare: {
    name: "template share",
    short: "Share of the latent's activation that falls on chat-template tokens.",
    more: "At half or more it is called a template latent.",
  },
  lens: {
    name: "promoted, suppressed",
    short:
      "Tokens whose logit rises or falls most when the hidden state moves one unit along the decoder direction.",
    more: "Each direction is read through its own model's final norm weight and unembedding, with no layers in between: a hint at meaning, not an effect measured. A decoder of almost no length points anywhere, and so do its tokens.",
  },
  turnF1: {
    name: "turn F1",
    short: "How well the latent's maximum over a model turn predicts that the turn shows the behaviour.",
    more: "Harmonic mean of precision and recall on test documents; latent and threshold were chosen on held-out ones.",
  },
  turnAuroc: {
    name: "turn AUROC",
    short: "Chance that a turn with the behaviour scores above one without; 0.5 is guessing.",
    more: "",
  },
  tokenF1: { name: "token F1", short: "The same as turn F1 with single tokens as the unit.", more: "" },
  probe: {
    name: "probe",
    short: "AUROC of a linear classifier on the mean residual of the turn: what the model itself holds.",
    more: "A ceiling and a check, not part of the score.",
  },
  recall: { name: "recall", short: "Share of planted behaviours that some claim finds.", more: "" },
  precision: {
    name: "precision",
    short: "Share of claims with at least half of their activation inside one planted concept.",
    more: "Template latents are left out, or count as right, as stated.",
  },
  permutedRecall: {
    name: "permuted control",
    short: "Recall when the labels are shuffled across documents; should be near 0.",
    more: "",
  },
  kl: {
    name: "KL",
    short:
      "How far one model’s predictions of the next token are from another’s, in nats a token; 0: the same.",
    more: "Kullback-Leibler divergence over the whole vocabulary. In causal experiments KL(fine-tune ‖ model with the edited residual), in a glance KL(fine-tune ‖ base).",
  },
  intervention: {
    name: "None, Template, All, Error",
    short: "What the fine-tune’s later layers are given in place of its own residual.",
    more: "None: the base’s residual. Template: the fine-tune’s at template tokens, the base’s elsewhere. All: the base’s, with the whole dictionary’s difference put in. Error: the fine-tune’s, with the dictionary’s difference taken out, so that what the dictionary does not explain is left. A set of latents: the base’s with their finetuned contributions added, or put in place of the base’s own (replacing).",
  },
  firstNine: {
    name: "first nine tokens",
    short: "Tokens 2 to 10 of each answer.",
    more: "The first one follows a template token directly and is left out, so that Template is compared fairly.",
  },
  gapClosed: {
    name: "gap closed",
    short:
      "Share of the KL between base and fine-tune that an edit takes away; 0: none, 1: all, below 0: it harms.",
    more: "(KL of None − KL of the edit) / KL of None. Not clamped.",
  },
  damage: {
    name: "damage",
    short: "KL that taking a latent out of the fine-tune makes, in nats a predicted token.",
    more: "Over all predicted tokens, those included where the latent is silent and nothing changes.",
  },
  matchedControl: {
    name: "matched controls",
    short: "Random latents from outside the candidates with the same firing rate and energy (Σ f²‖d‖²).",
    more: "Five or more a latent or set. An edit that does no more than its controls does what any edit of that size does. p: share of bootstrap draws in which it does no more than they.",
  },
  causalInterval: {
    name: "95 % interval",
    short: "Where a mean would lie, 95 times in 100, had other conversations of the same kind been drawn.",
    more: "Percentile bootstrap over conversations, the same draws for every edit. As published, mean ± 1.96 σ/√n over tokens stands beside it; that counts tokens of one conversation as independent.",
  },
  lossRecovered: {
    name: "loss recovered",
    short: "How much of a model’s skill is left when its residual is replaced by its reconstruction; 1: all.",
    more: "(loss with zeros − loss with the reconstruction) / (loss with zeros − loss of the model); the same against the mean residual.",
  },
  steered: {
    name: "base + latents, finetuned − latents, finetuned + latents",
    short: "Answers with a latent pushed at every token, beside those of the models as they are.",
    more: "The strength is in units of the latent’s greatest activation, chosen on other prompts than those counted. Degenerate answers (repetition, or far from anything that the model would say) show no behaviour.",
  },
  differenceLens: {
    name: "activation difference lens",
    short: "What the mean residual difference over the first tokens of unrelated text says.",
    more: "Read through each model’s unembedding and, where it can, by the fine-tune itself (patchscope); and added to the residuals while a model writes. Minder et al. 2025, arXiv:2510.13900.",
  },
  consistency: {
    name: "consistency",
    short: "1: every text is moved in one direction; 0: the directions cancel out.",
    more: "Length of the mean difference over the mean length of the differences.",
  },
  component: {
    name: "component",
    short: "A direction along which the residual difference varies most, after its mean.",
    more: "Principal components of finetuned − base over all tokens read.",
  },
  mined: {
    name: "mined tokens",
    short: "Tokens that the fine-tune raises or lowers most often, whatever the text.",
    more: "Counted among the K of greatest logit difference at each position; the control is the count that a random sign of the difference would give.",
  },
} as const satisfies Record<string, Term>;

export type TermName = keyof typeof TERMS;

/** The term's name (or other words for it) with its definition on hover. */
export function term(name: TermName, label: string = TERMS[name].name): Html {
  return html`<abbr title="${TERMS[name].short}">${label}</abbr>`;
}

/** The same as a link into the glossary, for places that are read once and not in every card. */
export function termLink(name: TermName, label: string = TERMS[name].name): Html {
  return html`<a class="term" href="#term-${name}" title="${TERMS[name].short}">${label}</a>`;
}
