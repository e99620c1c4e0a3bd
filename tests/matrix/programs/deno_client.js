// Sends messages as bodies of POST requests and looks at the answers, by Deno's fetch.
const [port, ca, connections, rounds] = Deno.args;
const SIZES = [1, 300, 5000, 40000];
const client = Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(ca)], poolMaxIdlePerHost: 64, http2: false });

async function talk(token) {
  for (let sequence = 0; sequence < Number(rounds); sequence++) {
    const size = SIZES[(token + sequence) % 4];
    const wanted = SIZES[(token + sequence + 1) % 4];
    const body = `m 0 0 ${token} ${sequence} ${size} ${wanted}\n` + `0>0/${token}#${sequence};`.repeat(size).slice(0, size);
    const response = await fetch(`https://localhost:${port}/`, { method: "POST", body, client });
    const got = (await response.text()).split(" ");
    if (Number(got[3]) !== token || Number(got[4]) !== sequence) throw new Error(String(got.slice(0, 6)));
  }
}

console.log("ready");
await Deno.stdin.read(new Uint8Array(16));
await Promise.all(Array.from({ length: Number(connections) }, (_, token) => talk(token)));
Deno.exit(0);
