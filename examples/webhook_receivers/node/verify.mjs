// Verifies a webhook in Node.js 20 or newer, without packages. Made for the raw body: a Buffer, not a parsed object.

import { createHmac, createPublicKey, timingSafeEqual, verify as verifySignature } from "node:crypto";

// What stands before the 32 bytes of an Ed25519 key in its DER form (RFC 8410).
const ED25519_DER = Buffer.from("302a300506032b6570032100", "hex");

/**
 * The parsed event; throws when the webhook must not be believed.
 * `keys` holds secrets (`whsec_…`) and public keys (`whpk_…`); header names are in lower case, as Node has them.
 */
export function verify(body, headers, keys, { toleranceSeconds = 300, now = Date.now() / 1000 } = {}) {
  if (!isAuthentic(body, headers, keys, { toleranceSeconds, now })) throw new Error("not an authentic webhook");
  return JSON.parse(body.toString("utf8"));
}

export function isAuthentic(body, headers, keys, { toleranceSeconds = 300, now = Date.now() / 1000 } = {}) {
  const { "webhook-id": id = "", "webhook-timestamp": timestamp = "", "webhook-signature": signatures = "" } = headers;
  if (!/^[A-Za-z0-9_-]{1,256}$/.test(id) || !/^[0-9]{1,12}$/.test(timestamp)) return false;
  if (!(Math.abs(now - Number(timestamp)) <= toleranceSeconds)) return false;
  const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  const entries = signatures.split(" ").slice(0, 32);
  return keys.some((key) => entries.some((entry) => matches(entry, content, key)));
}

function matches(entry, content, key) {
  const [kind, encoded] = [key.slice(0, key.indexOf("_")), key.slice(key.indexOf("_") + 1)];
  const bytes = Buffer.from(encoded, "base64");
  if (kind === "whsec") {
    const expected = Buffer.from(`v1,${createHmac("sha256", bytes).update(content).digest("base64")}`);
    const given = Buffer.from(entry);
    return given.length === expected.length && timingSafeEqual(given, expected);
  }
  if (kind !== "whpk" || !entry.startsWith("v1a,")) return false;
  const publicKey = createPublicKey({ key: Buffer.concat([ED25519_DER, bytes]), format: "der", type: "spki" });
  return verifySignature(null, content, publicKey, Buffer.from(entry.slice(4), "base64"));
}
