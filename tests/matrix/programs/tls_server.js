// Answers messages, by Node's tls.
"use strict";
const fs = require("fs");
const tls = require("tls");
const { encode, answer, reader } = require("./messages.js");

const [certificate, key] = process.argv.slice(2);
const server = tls.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, (socket) => {
  socket.on("data", reader((asked) => socket.write(encode(answer(socket.localPort, socket.remotePort, asked)))));
  socket.on("error", () => {});
});
server.listen({ port: 0, host: "127.0.0.1", backlog: 512 }, () => console.log(server.address().port));
