// What all clients in Node are tried with. Address and key of the server come in the environment, models as arguments.
import { z } from "zod";

export const baseURL = process.env.OPENAI_BASE_URL;
export const apiKey = process.env.OPENAI_API_KEY;
export const models = process.argv.slice(2);
export const embedder = "text-embedding-3-small";
export const hello = [{ role: "user", content: "hello" }];
export const again = { role: "user", content: "again" };
export const City = z.object({ city: z.string() });
export const weather = ({ city }) => `sunny in ${city}`;

// Return the answer that all have.
export function only(answers) {
  const [first, ...others] = answers;
  for (const other of others) if (JSON.stringify(other) !== JSON.stringify(first)) throw new Error(JSON.stringify(answers));
  return first;
}

// Print the answers of each model.
export async function report(ask) {
  const answers = {};
  for (const model of models) answers[model] = await ask(model);
  console.log(JSON.stringify(answers));
}
