// Sends messages as bodies of HTTP/1.1 requests, by Node's https; with `h2` as fifth argument by http2.
"use strict";
const fs = require("fs");
const { encode, request, reader, whenTold } = require("./messages.js");

const [port, ca, connections, rounds, h2] = process.argv.slice(2);
const certificate = fs.readFileSync(ca);

function check(asked, got) {
  if (got[2] !== asked[2] || got[3] !== asked[3] || got[4] !== asked[5]) throw new Error(`${got} for ${asked}`);
}

function talk(token) {
  const version = token % 2 ? "TLSv1.3" : "TLSv1.2";
  const agent = new (require("https").Agent)({
    keepAlive: true, maxSockets: 1, ca: certificate, minVersion: version, maxVersion: version,
  });
  const ask = (sequence) => {
    const asked = request(0, 0, token, sequence);
    const exchange = require("https").request(
      { host: "127.0.0.1", port, servername: "localhost", agent, method: "POST" },
      (response) => response.on("data", reader((got) => check(asked, got))).on("end", () => {
        if (sequence + 1 < Number(rounds)) ask(sequence + 1); else agent.destroy();
      }),
    );
    exchange.end(encode(asked));
  };
  ask(0);
}

function talkInStreams(token) {
  const version = token % 2 ? "TLSv1.3" : "TLSv1.2";
  const session = require("http2").connect(`https://localhost:${port}`, {
    ca: certificate, minVersion: version, maxVersion: version, host: "127.0.0.1", family: 4,
  });
  let left = Number(rounds);
  for (let sequence = 0; sequence < Number(rounds); sequence++) {
    const asked = request(0, 0, token, sequence);
    const stream = session.request({ ":method": "POST", ":path": "/" });
    stream.on("data", reader((got) => check(asked, got)));
    stream.on("end", () => { left -= 1; if (!left) session.close(); });
    stream.end(encode(asked));
  }
}

whenTold(() => {
  for (let token = 0; token < Number(connections); token++) (h2 ? talkInStreams : talk)(token);
});
