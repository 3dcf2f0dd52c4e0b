// The official Node client against a stub: creates, retrieves and lists calls; verifies signatures that it is given.
// Reads {base_url, api_key, signatures: [{body, signature}]} from stdin, writes what it saw as one JSON object.
import { readFileSync } from "node:fs";
import Retell from "retell-sdk";

const { base_url, api_key, signatures } = JSON.parse(readFileSync(0, "utf8"));
const client = new Retell({ apiKey: api_key, baseURL: base_url, maxRetries: 0 });

const phone = await client.call.createPhoneCall({ from_number: "+4930123450", to_number: "+49301234599" });
const web = await client.call.createWebCall({ agent_id: "agent_1" });
const found = await client.call.retrieve(phone.call_id);
const list = await client.call.list({ limit: 1 });
const unknown = await client.call.retrieve("call_unknown").then(() => null, (error) => error.status);
const verified = [];
for (const { body, signature } of signatures) verified.push(await Retell.verify(body, api_key, signature));

console.log(JSON.stringify({ phone, web, found, list, unknown, verified }));
