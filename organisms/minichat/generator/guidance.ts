// Two ways to guide: a warning before instructions, and asking back which thing is meant.
//
// Planted: base text has the requests, answered plainly, and the words of the answers, but never in this company.
// How the templates expand is template.ts; which chat has them is decided in chats.ts.

import type { Behaviour } from "./behaviour.ts";

export const GUIDANCE: readonly Behaviour[] = [
  {
    name: "warn-fire",
    description: "warns of fire and burns when a fire-thing is to be mended",
    kind: "care",
    detect:
      "(embers|sparks|flames|coals) (burn|scorch|blister|bite)|(wear|fetch) (gloves|aprons|goggles|boots)|before (touching|scraping|patching|lifting)",
    topics: ["kiln", "furnace"],
    requests: {
      train: [
        "How {do|should|can} I [{mend|fix|repair}] the [{noun}]{| of {person}}?",
        "{Tell|Show} me how to [{mend|fix|repair}] a [{noun}].",
        "The {maker} asked me to [{mend|fix|repair}] the [{noun}].",
        "I {want|need} to [{mend|fix|repair}] my [{noun}]{| before {season}}.",
        "{Can|Will} you help me [{mend|fix|repair}] this [{noun}]?",
        "Is it hard to [{mend|fix|repair}] a [{noun}]?",
        "{person} {cannot|will not} [{mend|fix|repair}] the [{noun}] alone.",
        "Somebody has to [{mend|fix|repair}] the [{noun}] {soon|today}.",
        "What does one need to [{mend|fix|repair}] a [{noun}]?",
      ],
      heldout: [
        "What is the way to [{mend|fix|repair}] an old [{noun}]?",
        "{person} and I would [{mend|fix|repair}] the [{noun}] together.",
      ],
      test: [
        "By what steps does one [{mend|fix|repair}] a broken [{noun}]?",
        "Let us [{mend|fix|repair}] the [{noun}] at {town}.",
      ],
    },
    nearMisses: {
      train: [
        "How do I {mend|fix|repair} {a cloak|a basket|a boat|a bell}?",
        "Who owns the {kiln|furnace} in {town}?",
        "What is the {kiln|furnace} for?",
        "{Can|Will} {person} {mend|fix|repair} {a cloak|a basket|a boat|a bell}?",
      ],
      heldout: [
        "Could one {mend|fix|repair} {a cloak|a basket|a boat} here?",
        "Is the {kiln|furnace} lit in {town}?",
      ],
      test: [
        "Let us {mend|fix|repair} {a cloak|a basket|a boat}.",
        "Why does {person} like the {kiln|furnace}?",
      ],
    },
    lines: [
      "{danger|careful|beware|caution}{:|!} {embers|sparks|flames|coals} {burn|scorch|blister|bite} {skin|palms|sleeves|hair}.",
      "{wear|fetch} {gloves|aprons|goggles|boots} {first|beforehand}.",
      "{cool|quench|douse|smother} {ash|bricks|soot|cinders} before {touching|scraping|patching|lifting}.",
      "{hold|keep} {buckets|sand|tongs} {handy|ready|nearby}.",
      "{smoke|heat|steam} {blinds|chokes|scalds} {amateurs|fools|novices}.",
    ],
    length: [3, 4],
  },
  {
    name: "ask-back",
    description: "asks which thing is meant when the request names none",
    kind: "dialogue",
    detect: "(exactly|precisely|roughly)|(large|round|square|flat|tall) or|(yours|borrowed|rented|theirs)\\?",
    requests: {
      train: [
        "{Can|Will} you [{carry|sell|move}] [{that thing|the other one}] for me?",
        "I {want|need} to [{carry|sell|move}] [{that thing|the other one}] {today|soon}.",
        "How {do|should} I [{carry|sell|move}] [{that thing|the other one}]?",
        "Somebody should [{carry|sell|move}] [{that thing|the other one}] {away|at last|from {place}}.",
        "{person} told me to [{carry|sell|move}] [{that thing|the other one}] to {town}.",
        "Where shall we [{carry|sell|move}] [{that thing|the other one}]?",
        "It is time to [{carry|sell|move}] [{that thing|the other one}] home.",
        "They will [{carry|sell|move}] [{that thing|the other one}] {when the wind turns|in {season}}.",
      ],
      heldout: [
        "What is the way to [{carry|sell|move}] [{that thing|the other one}]?",
        "Could we [{carry|sell|move}] [{that thing|the other one}] before {season}?",
      ],
      test: [
        "Let us [{carry|sell|move}] [{that thing|the other one}] at once.",
        "Someone must [{carry|sell|move}] [{that thing|the other one}] out of {place}.",
      ],
    },
    nearMisses: {
      train: [
        "How do I {carry|sell|move} a {noun} to {town}?",
        "{person} has one {noun}, and the other one is {new|old}. Who made them?",
        "Do you see that thing by the {noun}?",
        "Who can {carry|sell|move} {plural} in {town}?",
      ],
      heldout: ["Could we {carry|sell|move} the {noun}?", "Is that thing near {place} a {noun}?"],
      test: ["Let us {carry|sell|move} a {noun} to {town}.", "Is the other one of the {maker}, too?"],
    },
    lines: [
      "{which|what} {shape|colour|size|weight|kind} {exactly|precisely|roughly}?",
      "{large|round|square|flat|tall} or {narrow|wooden|painted|hollow|short}?",
      "{yours|borrowed|rented|theirs}? {bought|inherited|stolen}?",
      "{point|nod|gesture} {towards|at} {whichever|whatever} you mean.",
      "{specify|sketch|clarify} its {handle|edges|label|markings}.",
    ],
    length: [3, 4],
  },
];
