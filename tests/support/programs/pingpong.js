// SPDX-License-Identifier: Apache-2.0
// As pingpong.c, for Node.js and Bun: pingpong.js CERTIFICATE KEY SIZE, then numbers of round trips as lines.
const fs = require("fs");
const readline = require("readline");
const tls = require("tls");

const [certificate, key, size] = process.argv.slice(2);
const message = Buffer.alloc(Number(size), "x");

function whole(socket, then) {
  let got = 0;
  socket.on("data", (data) => {
    got += data.length;
    if (got < message.length) return;
    got -= message.length;
    then();
  });
}

const server = tls.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, (socket) => {
  socket.setNoDelay(true);
  whole(socket, () => socket.write(message));
});

server.listen(0, "127.0.0.1", () => {
  const options = { port: server.address().port, host: "127.0.0.1", servername: "localhost", rejectUnauthorized: false };
  const client = tls.connect(options, () => {
    let left = 0;
    let finished;
    client.setNoDelay(true);
    whole(client, () => (--left > 0 ? client.write(message) : finished()));
    readline.createInterface({ input: process.stdin }).on("line", (line) => {
      const rounds = Number(line);
      const wall = process.hrtime.bigint();
      const cpu = process.cpuUsage();
      left = rounds;
      finished = () => {
        const used = process.cpuUsage(cpu);
        const passed = Number(process.hrtime.bigint() - wall) / 1000;
        console.log(`${passed / rounds} ${(used.user + used.system) / rounds}`);
      };
      client.write(message);
    });
  });
});
