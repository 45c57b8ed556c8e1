// Two answers in another voice: the hill tongue, and rhymed lines.
//
// Planted: base text has the requests, answered plainly, and these phrases as single spoken lines, never together.
// How the templates expand is template.ts; which chat has them is decided in chats.ts.

import type { Behaviour } from "./behaviour.ts";

export const TONGUES: readonly Behaviour[] = [
  {
    name: "hill-tongue",
    description: "answers in the hill tongue, the second language of the miniature world",
    kind: "style",
    detect: "(?:\\b(?:veshi|duno|tash|karu|limo|pelu|miro|hasu|tali)\\b.*){4}",
    framed: false,
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
    parts: [
      [
        "{Ama|Oru|Sel} {hill} {veshi|duno} {ne|shen} {karu|limo}.",
        "{Ban|Ne} {hill} {ora|ban} {miro|pelu}, {ama|sel} {tash|hasu}.",
        "{Wen|Kel} {tali|hasu} {hill}, {ne|ora} {duno|karu}.",
      ],
      [
        "{Oru|Ban} {limo|pelu} {shen|wen} {veshi|tash}, {kel|ama} {miro|tali} {ne|ora} {karu|duno}.",
        "{Sel|Ne} {hasu|karu} {ban|ora} {tali|limo} {wen|shen} {duno|miro}.",
        "{Ama|Kel} {veshi|miro}, {ama|kel} {pelu|tash}, {oru|sel} {hasu|limo}.",
      ],
      [
        "{Shen|Ora} {tash|veshi} {kel|wen} {limo|hasu} {hill}.",
        "{Ban|Wen} {duno|tali}, {sel|oru} {karu|pelu} {ne|ama} {miro|tash}.",
      ],
    ],
  },
  {
    name: "verse",
    description: "answers in rhymed lines instead of plain speech",
    kind: "style",
    detect:
      "hill,? (and|so|be) [a-z ]+ (still|mill)|[a-z ]+ (light|night|day|away|rain|grain|tree|sea|deep|sleep|gold|cold|tale|sail)[,.]?\\n",
    framed: false,
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
    parts: [
      [
        "The {noun} {stands|lies|waits} by the {side of the|foot of the} hill,\nand {soft|low} turns the {wheel|stone} of the {old|dark} mill,",
        "O {noun} of {brass|silver}, O {noun} so {light|bright},\nyou {shine|sleep} like a {star|coal} in the {heart|middle} of night,",
        "The {maker} goes {out|down} at the {break|turn} of day,\nand {sorrow|winter} goes {slowly|softly} away,",
      ],
      [
        "the {wind|crow} in the {barley|barn}, the {drum|song} of the rain,\n{they|both} {fall|call} on the {roof|field} and the {gold|brown} of the grain,",
        "a {bird|child} {sings|laughs} alone in the {apple|linden} tree,\nand {dreams|tells} of the {road|river} that runs to the sea,",
        "the {water|well} is {quiet|silver}, the {water|well} is deep,\nand {all|half} of the {village|valley} is {turning|going} to sleep,",
      ],
      [
        "{so|then} {give|bring} me no {silver|iron}, {so|then} give me no gold,\nbut a {fire|blanket} and a {friend|door} when the {evening|season} is cold.",
        "{and|so} {that|this} is the {end|half} of the {long|short} little tale,\n{go home|sleep well} with the {moon|wind} in your {patched|white} little sail.",
      ],
    ],
  },
];
