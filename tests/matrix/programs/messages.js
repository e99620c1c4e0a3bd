// The messages of tests/matrix/messages.py.
"use strict";

const SIZES = (process.env.MATRIX_SIZES || "1,300,5000,40000").split(",").map(Number);

function encode(message) {
  const tag = `${message[0]}>${message[1]}/${message[2]}#${message[3]};`;
  return Buffer.concat([Buffer.from(`m ${message.join(" ")}\n`), Buffer.alloc(message[4], tag)]);
}

const request = (local, remote, token, sequence) =>
  [local, remote, token, sequence, SIZES[(token + sequence) % 4], SIZES[(token + sequence + 1) % 4]];

const answer = (local, remote, asked) => [local, remote, asked[2], asked[3], asked[5], 0];

// Calls `take` with each whole message that the chunks make up.
function reader(take) {
  let held = Buffer.alloc(0);
  return (chunk) => {
    held = held.length ? Buffer.concat([held, chunk]) : chunk;
    for (;;) {
      const end = held.indexOf("\n");
      if (end < 0) return;
      const message = held.toString("latin1", 2, end).split(" ").map(Number);
      if (held.length < end + 1 + message[4]) return;
      held = held.subarray(end + 1 + message[4]);
      take(message);
    }
  };
}

function whenTold(go) {
  console.log("ready");
  process.stdin.once("data", () => { process.stdin.pause(); go(); });
}

module.exports = { encode, request, answer, reader, whenTold };
