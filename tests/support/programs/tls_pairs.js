// SPDX-License-Identifier: Apache-2.0
// Clients and a server in one process that talk TLS, for Node.js and Bun: tls_pairs.js CERTIFICATE KEY CONNECTIONS
const fs = require("fs");
const tls = require("tls");

const [certificate, key, connections] = process.argv.slice(2);
const SIZES = [1, 300, 20000];

const server = tls.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, (socket) => {
  socket.on("data", (data) => socket.write(data));
  socket.on("error", () => {});
});

function talk(port, number) {
  return new Promise((resolve, reject) => {
    const version = number % 2 ? "TLSv1.2" : "TLSv1.3";
    const socket = tls.connect({
      port, host: "127.0.0.1", servername: "localhost", rejectUnauthorized: false,
      minVersion: version, maxVersion: version,
    });
    const text = SIZES.map((size) => `<${number}:${"x".repeat(size)}>`);
    let sent = 0, received = "";
    socket.on("secureConnect", () => socket.write(text[sent++]));
    socket.on("error", reject);
    socket.on("data", (data) => {
      received += data.toString();
      if (received.length < text.slice(0, sent).join("").length) return;
      if (received !== text.slice(0, sent).join("")) return reject(new Error("another echo"));
      if (sent < text.length) return socket.write(text[sent++]);
      socket.end();
      resolve();
    });
  });
}

server.listen(0, "127.0.0.1", async () => {
  const { port } = server.address();
  for (let first = 0; first < Number(connections); first += 10)
    await Promise.all(Array.from({ length: 10 }, (_, number) => talk(port, first + number)));
  process.exit(0);
});
