// SPDX-License-Identifier: Apache-2.0
// Answers every request by Node's https: HOST CERTIFICATE KEY. Prints its port when it listens.
"use strict";
const fs = require("fs");

const [host, certificate, key] = process.argv.slice(2);
const options = { cert: fs.readFileSync(certificate), key: fs.readFileSync(key) };
const server = require("https").createServer(options, (request, response) => {
  request.resume().on("end", () => response.end("answered\n"));
});
server.listen({ port: 0, host, backlog: 512 }, () => console.log(server.address().port));
