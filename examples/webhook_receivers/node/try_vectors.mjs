// Tries `verify.mjs` on the test vectors that Sceneshift ships: `node examples/webhook_receivers/node/try_vectors.mjs`.

import { readFileSync } from "node:fs";
import { isAuthentic } from "./verify.mjs";

const file = new URL("../../../sceneshift/webhooks/vectors.json", import.meta.url);
const { vectors, tolerance_seconds: toleranceSeconds } = JSON.parse(readFileSync(file, "utf8"));

const wrong = vectors.filter(({ body_base64: body, headers, keys, now, authentic }) =>
  isAuthentic(Buffer.from(body, "base64"), headers, keys, { toleranceSeconds, now }) !== authentic);

if (wrong.length > 0) {
  console.error(wrong.map(({ name }) => name).join("\n"));
  process.exit(1);
}
console.log(`${vectors.length} vectors agree`);
