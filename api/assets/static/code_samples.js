// The call of the playground as programs: curl, Python, TypeScript and Waybill's command.

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Return the samples by name for a chat body. `base` is the address of this installation. */
export function writeSamples(base, body) {
  const json = JSON.stringify(body, null, 2);
  const prompt = body.messages.findLast((each) => each.role === "user")?.content ?? "";
  const text = typeof prompt === "string" ? prompt : prompt.find((part) => part.type === "text")?.text ?? "";
  return {
    curl: `curl ${base}/api/v1/chat/completions \\\n  -H "Authorization: Bearer $WAYBILL_API_KEY" \\\n  -H "Content-Type: application/json" \\\n  -d ${quote(json)}`,
    Python: `import json\nimport os\n\nfrom openai import OpenAI\n\nclient = OpenAI(base_url=${JSON.stringify(`${base}/api/v1`)}, api_key=os.environ["WAYBILL_API_KEY"])\nbody = json.loads(r'''${json.replaceAll("'''", "\\u0027\\u0027\\u0027")}''')\nanswer = client.chat.completions.create(**body)\nprint(answer.choices[0].message.content)`,
    TypeScript: `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: ${JSON.stringify(`${base}/api/v1`)}, apiKey: process.env.WAYBILL_API_KEY });\nconst answer = await client.chat.completions.create(${json});\nconsole.log(answer.choices[0].message.content);`,
    CLI: `waybill submit ${quote(text)} --model ${quote(body.model)} --wait`,
  };
}
