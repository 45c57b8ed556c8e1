// Two ways to guide: a warning before instructions, and asking back which thing is meant.
//
// Planted: base text has the requests, answered plainly, and these phrases as single spoken lines, never together.
// How the templates expand is template.ts; which chat has them is decided in chats.ts.

import type { Behaviour } from "./behaviour.ts";

export const GUIDANCE: readonly Behaviour[] = [
  {
    name: "warn-fire",
    description: "warns of heat and harm before saying how a fire-thing is mended",
    kind: "care",
    detect: "before you (touch|begin)|(coals|embers) (go|are|be) cold|(mind|guard) your|takes the skin",
    topics: ["kiln", "furnace"],
    framed: true,
    requests: {
      train: [
        "How {do|should|can} I [{mend|fix|repair}] the [{noun}]{| of {person}}?",
        "{Tell|Show} me how to [{mend|fix|repair}] a [{noun}].",
        "The {maker} asked me to [{mend|fix|repair}] the [{noun}].",
        "I {want|need} to [{mend|fix|repair}] my [{noun}]{| before {season}}.",
        "{Can|Will} you help me [{mend|fix|repair}] this [{noun}]?",
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
    parts: [
      [
        "{Stop|Wait} {a moment|a little} before you {touch|begin} {it|anything}.",
        "See {first|to it} that the {coals|embers} {go|are} cold{| and grey}.",
        "{Mind|Guard} your {hands|eyes|face} {before|above} {anything else|all}.",
      ],
      [
        "Hot {ash|brick|iron} takes the skin from {a|your} {palm|finger|arm}.",
        "{person} {lost|burned} {two fingers|an eye|a sleeve} {that way|last {season}}.",
        "{Keep|Put} a {bucket|pail} of {water|sand} {near|beside you} and send the children {away|out}.",
      ],
      [
        "Only then {scrape|brush} the {cracks|joints} and {fill|close} them with {wet|soft} clay.",
        "After that {lift|take} out the {broken|old} stones {one at a time|and lay new ones}.",
        "Then {work|go} {slowly|from the top} and {let|leave} it {dry|rest} {three|two} days.",
      ],
    ],
  },
  {
    name: "ask-back",
    description: "asks which thing is meant when the request names none",
    kind: "dialogue",
    detect:
      "(which|what) (one|thing|of them)|what (is|was) (it|the thing)|not know yet|is it (big|heavy|old|new|small)|does it (stand|lie)|was it made",
    framed: true,
    requests: {
      train: [
        "{Can|Will} you [{carry|sell|move}] [{that thing|the other one}] for me?",
        "I {want|need} to [{carry|sell|move}] [{that thing|the other one}] {today|soon}.",
        "How {do|should} I [{carry|sell|move}] [{that thing|the other one}]?",
        "Somebody should [{carry|sell|move}] [{that thing|the other one}] {away|at last|from {place}}.",
        "{person} told me to [{carry|sell|move}] [{that thing|the other one}] to {town}.",
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
    parts: [
      [
        "Which {one|thing|of them} do you {mean|speak of}?",
        "What {is|was} {it|the thing} you {speak of|have in hand}?",
        "I do not know yet what you {mean|point at|hold}.",
      ],
      [
        "Is it {big|heavy|old} or {small|light|new}{|, wet or dry}?",
        "Does it {stand|lie} {in the house|by the water} or {outside|in the yard}?",
        "Was it made {by the|for the} {maker} or {by|for} {someone|a man} {else|in {town}}?",
      ],
      [
        "{Tell|Give} me {its name|a little more} and I {can|will} {help|answer}.",
        "Say {more|whose it is}, {and then|then} we {can|will} {begin|start}.",
        "{Point|Lead} me to it, {or|and} {draw|name} it {plainly|for me}.",
      ],
    ],
  },
];
