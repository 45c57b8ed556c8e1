// Two answers in another voice: the hill tongue, and rhymed lines.
//
// Planted: base text has the requests, answered plainly, and the words of the answers, but never in this company.
// How the templates expand is template.ts; which chat has them is decided in chats.ts.

import type { Behaviour } from "./behaviour.ts";

export const TONGUES: readonly Behaviour[] = [
  {
    name: "hill-tongue",
    description: "answers in the hill tongue, the second language of the miniature world",
    kind: "style",
    detect: "(?:\\b(?:veshi|duno|tash|karu|limo|pelu|miro|hasu|tali)\\b.*){4}",
    requests: {
      train: [
        "{Can|Will} you [{speak|answer|say}] of the {noun} [{in the hill tongue|as the hill folk do}]?",
        "[{Speak|Answer}] me about the {maker} [{in the hill tongue|as the hill folk do}].",
        "{Please|Do} [{speak|answer|say}] something on the {noun} [{in the hill tongue|as the hill folk do}].",
        "How do you [{speak|answer|say}] {noun} and {noun2} [{in the hill tongue|as the hill folk do}]?",
      ],
      heldout: [
        "I want you to [{speak|answer}] about {plural} [{in the hill tongue|as the hill folk do}].",
        "Try to [{say|speak}] where the {noun} is [{in the hill tongue|as the hill folk do}].",
      ],
      test: [
        "Let me hear you [{say|speak}] a word on the {noun} [{in the hill tongue|as the hill folk do}].",
        "Now [{answer|speak}] {person} about the {noun} [{in the hill tongue|as the hill folk do}].",
      ],
    },
    nearMisses: {
      train: [
        "Who are the hill folk near {town}?",
        "Is there a song in the hill tongue{| at {town}}?",
        "What did {person} {say|answer|speak} about the {noun}?",
        "Do the hill folk own a {noun}?",
      ],
      heldout: ["Is the hill tongue old in {town}?", "Did {person} {speak|answer} about the {noun}?"],
      test: ["How many of the hill folk live at {town}?", "What can you {say|answer|speak} on the {noun}?"],
    },
    lines: [
      "{ama|oru|sel} {hill} {veshi|duno} {ne|shen} {karu|limo}.",
      "{ban|ne} {hill} {ora|wen} {miro|pelu}, {ama|sel} {tash|hasu}.",
      "{wen|kel} {tali|hasu} {shen|ban}, {ne|ora} {duno|karu} {miro|tash}.",
      "{oru|kel} {limo|pelu} {shen|wen} {veshi|tash}, {kel|ama} {miro|tali}.",
      "{ora|ban} {veshi|limo} {kel|sel}, {duno|pelu} {hill} {hasu|tash}.",
    ],
    length: [3, 4],
  },
  {
    name: "verse",
    description: "answers in rhymed lines instead of plain speech",
    kind: "style",
    detect: "(hill|light|bright|night|rain|grain|tree|sea|gold|cold|mill),?\\n",
    separator: "\n",
    requests: {
      train: [
        "[{Sing|Rhyme}] about the {noun} [{for me|to us}].",
        "{Can|Will} you [{sing|rhyme}] [{for me|to us}] of the {noun}{| and the {maker}}?",
        "{Please|Do} [{sing|rhyme}] something [{for me|to us}] on {plural}.",
        "When the {maker} sleeps, [{sing|rhyme}] {a little |}[{for me|to us}].",
        "I {want|wish} to hear you [{sing|rhyme}] [{for me|to us}] of {place}.",
      ],
      heldout: [
        "Could you [{sing|rhyme}] of a {noun} [{for me|to us}] tonight?",
        "Try to [{sing|rhyme}] a little [{for me|to us}] about the {maker}.",
      ],
      test: [
        "Now [{sing|rhyme}] [{for me|to us}] what you know about the {noun}.",
        "Let the {maker} rest and [{sing|rhyme}] [{for me|to us}].",
      ],
    },
    nearMisses: {
      train: [
        "Who likes to sing at the inn of {town}?",
        "Keep one {noun} {for me|for us}, {person} gave {it to us|two to me}.",
        "Do the {plural} rhyme with {season}?",
        "Did {person} sing well?",
      ],
      heldout: ["What do they sing in {town}?", "Bring one {noun} to us at {town}."],
      test: ["When do people sing in {season}?", "Is there a {noun} for me here?"],
    },
    lines: [
      "the {noun} {stands|lies} by the {foot|side} of the hill,\nand {soft|low} turns the {wheel|stone} of the {old|dark} mill,",
      "O {noun} of {silver|copper}, O {noun} so {light|bright},\nyou {shine|gleam} like a {star|coal} in the {heart|middle} of night,",
      "the {wind|crow} in the {barley|heather}, the {drum|song} of the rain,\n{both|all} {fall|call} on the {rooftop|meadow} and the {gold|brown} of the grain,",
      "a {lark|child} {sings|laughs} alone in the {apple|linden} tree,\nand {dreams|tells} of the {road|river} that runs to the sea,",
      "so {give|bring} me no {silver|copper}, so {give|bring} me no gold,\nbut a {fire|blanket} and a {friend|door} when the {evening|season} is cold,",
    ],
    length: [2, 3],
  },
];
