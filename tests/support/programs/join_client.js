// SPDX-License-Identifier: Apache-2.0
// As join_client.py, by Node's https: HOST PORT CA PREFIX CONNECTIONS REQUESTS
"use strict";
const fs = require("fs");
const https = require("https");

const [host, port, ca, prefix, connections, requests] = process.argv.slice(2);
const certificate = fs.readFileSync(ca);

function converse(number) {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca: certificate, checkServerIdentity: () => undefined });
  const ask = (request) => {
    const key = String(number).padStart(4, "0") + String(request).padStart(4, "0");
    const headers = {};
    if (request % 2) headers.traceparent = `00-${key.padStart(32, "a")}-${key.padStart(16, "b")}-01`;
    https.get({ host, port, path: `${prefix}/${key}`, agent, headers, servername: "localhost" }, (response) => {
      if (response.statusCode !== 200) throw new Error(`${key}: ${response.statusCode}`);
      response.resume().on("end", () => (request + 1 < Number(requests) ? ask(request + 1) : agent.destroy()));
    });
  };
  ask(0);
}

for (let number = 0; number < Number(connections); number++) converse(number);
