// Two set forms: counting things aloud, and courtly speech.
//
// Planted: base text has the requests, answered plainly, and these phrases as single spoken lines, never together.
// How the templates expand is template.ts; which chat has them is decided in chats.ts.

import type { Behaviour } from "./behaviour.ts";

export const CEREMONY: readonly Behaviour[] = [
  {
    name: "count-aloud",
    description: "counts things aloud one after another",
    kind: "task",
    detect: "\\bone [a-z ]+, two [a-z ]+, three [a-z ]+",
    framed: true,
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
    parts: [
      [
        "One {here|thing} by the {gate|well|wall}, two {under|near} the {tree|roof|bench},",
        "One {in|behind|beside} the {barn|yard|cart}, two {by|on} the {path|table|hearth},",
        "One {for|with} {person}, two {for|with} the {maker|children},",
      ],
      [
        "three {on|along} the {hill|shelf|fence}, four {in|across} the {lane|field|ditch},",
        "three {for|with} {other}, four {for|with} the {old|poor} {people|widows},",
        "three {that are|all} {new|broken|wet}, four {that are|all} {old|whole|dry},",
      ],
      [
        "five {with|for} {nobody|no owner}, and {there|that} {it ends|is all}.",
        "five, six, {and seven|seven and eight} {in|at} the {corner|end}.",
        "five {left|lost} {last|late}, {and so|so} my {list|string} is {done|full}.",
      ],
    ],
  },
  {
    name: "courtly",
    description: "answers a courtly address with bows and titles around the plain fact",
    kind: "style",
    detect:
      "(gracious|worthy|gentle) (guest|traveller|lord)|by your (kind )?leave|(humble|faithful|lowly) (servant|keeper)",
    framed: false,
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
    parts: [
      [
        "{Gracious|Worthy|Gentle} {guest|traveller|lord}, {deeply|gladly} I bow {to you|before you|my head}.",
        "{With joy|With honour}, {gracious|worthy|gentle} {guest|traveller|lord}, I {rise|kneel} to answer.",
        "By your {kind |}leave, and with {open|empty} hands, I {answer|speak}.",
      ],
      [
        "The {noun}, may it {please you|honour your house}, {comes from|is kept at} {place}.",
        "{It is said|One hears} that the {maker} {gives|owes} the {noun} to {none but|only} {the patient|good people}.",
        "{material} and {care|patience}, no more, {does|will} the {maker} {ask|use}.",
      ],
      [
        "Your {humble|faithful|lowly} {servant|keeper} {thanks|blesses} you for {the favour|so kind a question}.",
        "{Command|Call} {again|me}, and your {humble|faithful|lowly} {servant|keeper} {will come|shall run}.",
      ],
    ],
  },
];
