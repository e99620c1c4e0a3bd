// Answers messages in the bodies of HTTP/1.1 requests, by Node's https; with `h2` as third argument by http2.
"use strict";
const fs = require("fs");
const { encode, answer, reader } = require("./messages.js");

const [certificate, key, h2] = process.argv.slice(2);
const options = { cert: fs.readFileSync(certificate), key: fs.readFileSync(key) };

function serve(request, response) {
  const socket = h2 ? request.stream.session.socket : request.socket;
  request.on("data", reader((asked) => {
    const body = encode(answer(socket.localPort, socket.remotePort, asked));
    response.writeHead(200, { "content-length": body.length });
    response.end(body);
  }));
}

const server = h2 ? require("http2").createSecureServer(options, serve) : require("https").createServer(options, serve);
server.listen({ port: 0, host: "127.0.0.1", backlog: 512 }, () => console.log(server.address().port));
