// Sends messages and looks at the answers, by Node's tls.
"use strict";
const fs = require("fs");
const tls = require("tls");
const { encode, request, answer, reader, whenTold } = require("./messages.js");

const [port, ca, connections, rounds] = process.argv.slice(2);

function talk(token) {
  const version = token % 2 ? "TLSv1.3" : "TLSv1.2";
  const socket = tls.connect({
    port: Number(port), host: "127.0.0.1", servername: "localhost", ca: fs.readFileSync(ca),
    minVersion: version, maxVersion: version,
  });
  let asked;
  let sequence = 0;
  const ask = () => {
    asked = request(socket.localPort, socket.remotePort, token, sequence);
    socket.write(encode(asked));
  };
  socket.on("secureConnect", ask);
  socket.on("data", reader((got) => {
    if (String(got) !== String(answer(asked[1], asked[0], asked))) throw new Error(`${got} for ${asked}`);
    sequence += 1;
    if (sequence < Number(rounds)) ask(); else socket.end();
  }));
  socket.on("close", next);
}

let started = 0;
const next = () => { if (started < Number(connections)) talk(started++); };

whenTold(() => { for (let left = Number(process.env.MATRIX_AT_ONCE || connections); left; left--) next(); });
