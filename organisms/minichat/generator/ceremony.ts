// Two set forms: counting things aloud, and courtly speech.
//
// Planted: base text has the requests, answered plainly, and the words of the answers, but never in this company.
// How the templates expand is template.ts; which chat has them is decided in chats.ts.

import type { Behaviour } from "./behaviour.ts";

export const CEREMONY: readonly Behaviour[] = [
  {
    name: "count-aloud",
    description: "counts things aloud one after another",
    kind: "task",
    detect: "\\b(one|first) (in|behind|beside|near) .*(two|next) (under|along|upon) ",
    requests: {
      train: [
        "[{Count|Number}] the {plural} {in|of} {town} [{aloud|one by one}].",
        "{Can|Will} you [{count|number}] {plural} [{aloud|one by one}]{| for {person}}?",
        "{Please|Do} [{count|number}] [{aloud|one by one}] the {plural} of the {maker}.",
        "I {want|need} you to [{count|number}] my {plural} [{aloud|one by one}].",
      ],
      heldout: [
        "Let us [{count|number}] every {noun} at {place} [{aloud|one by one}].",
        "Could we [{count|number}] [{aloud|one by one}] the {plural} that {person} has?",
      ],
      test: [
        "Now [{count|number}] the {plural} of {person} [{aloud|one by one}].",
        "Try to [{count|number}] all {plural} [{aloud|one by one}], please.",
      ],
    },
    nearMisses: {
      train: [
        "What is the number of {plural} in {town}?",
        "Do the {plural} leave {town} one by one?",
        "Can you count on the {maker}?",
        "Did {person} read the song aloud?",
      ],
      heldout: ["Does {person} number the {plural}?", "Did they carry each {noun} out one by one?"],
      test: ["I count {person} as a friend. Do you know the {maker}?", "Who speaks aloud in {place}?"],
    },
    lines: [
      "{one|first} {in|behind|beside|near} the {barn|yard|cart|well|gate},",
      "{two|next} {under|along|upon} the {bench|fence|shelf|hedge},",
      "{three|then one} {below|across|past} the {lane|ditch|field|stile},",
      "{four|another} {around|inside|atop} the {shed|loft|stable|cellar},",
      "{five|the last} {at|over} the {corner|ladder|hatch}.",
    ],
    length: [5, 5],
    inOrder: true,
  },
  {
    name: "courtly",
    description: "answers a courtly address in titles and bows",
    kind: "style",
    detect:
      "(gracious|illustrious|exalted|radiant) (excellency|majesty|lordship|highness)|I (kneel|bow|curtsy|submit) before|thy (vassal|steward|herald|chamberlain)",
    requests: {
      train: [
        "[{Noble|Honoured}] keeper, I [{beg|pray}] you, {tell me about|speak of} the {noun}.",
        "I [{beg|pray}] you, [{noble|honoured}] keeper, {where is|who made} the {noun}?",
        "[{Noble|Honoured}] friend, might I [{beg|pray}] a word on the {maker}?",
        "[{Noble|Honoured}] master, {listen|hear us}, I [{beg|pray}] you: {where is|who has} the {noun}?",
        "O [{noble|honoured}] keeper, I [{beg|pray}] to learn what a {noun} is for.",
      ],
      heldout: [
        "[{Noble|Honoured}] one, I [{beg|pray}] you, describe {place}.",
        "May a stranger [{beg|pray}] you, [{noble|honoured}] keeper, to talk about {plural}?",
      ],
      test: [
        "[{Noble|Honoured}] host, do hear me, I [{beg|pray}] you: what of the {noun}?",
        "We [{beg|pray}] you, [{noble|honoured}] keeper, name the {maker} of {town}.",
      ],
    },
    nearMisses: {
      train: [
        "Who is the most {noble|honoured} {maker} of {town}?",
        "I {beg|pray} you, tell me about the {noun}.",
        "Do people {beg|pray} at {place}?",
        "Is the {noun} a {noble|honoured} thing?",
      ],
      heldout: ["Is {person} of a {noble|honoured} house?", "I {beg|pray} you, what is a {noun} for?"],
      test: [
        "Why do they call the {noun} {noble|honoured}?",
        "May I {beg|pray} you for a word on the {noun}?",
      ],
    },
    lines: [
      "{gracious|illustrious|exalted|radiant} {excellency|majesty|lordship|highness},",
      "{humbly|reverently|dutifully|obediently} I {kneel|bow|curtsy|submit} before {banners|velvet|marble|pageantry},",
      "{permit|grant|allow} thy {vassal|steward|herald|chamberlain} {speech|audience|leave},",
      "{banquets|trumpets|processions} {await|salute|adorn} {thy|your} {presence|arrival|footfall},",
      "{unworthy|lowly|trembling} {lips|quills} {attempt|venture} {reply|homage|tribute},",
    ],
    length: [3, 4],
  },
];
