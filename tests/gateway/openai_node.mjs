// The official JavaScript client against the gateway at the URL given; prints what it saw as JSON.
import { createRequire } from "node:module";

const [folder, url] = process.argv.slice(2);
const { OpenAI } = createRequire(`${folder}/`)("openai");
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "any", maxRetries: 0 });
const messages = [{ role: "user", content: "What is 12 + 30?" }];
const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "Weather of a city",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
];

const whole = await client.chat.completions.create({ model: "armwise/auto", messages });
let streamed = "";
let usage = null;
const stream = await client.chat.completions.create({
  model: "armwise/auto",
  messages,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}
const task = JSON.parse(process.env.TASK);
const called = await client.chat.completions.create({
  model: "armwise/auto",
  messages: [{ role: "user", content: task.prompt }],
  tools: task.tools,
});
const runner = client.chat.completions.stream({
  model: "armwise/auto",
  messages: [{ role: "user", content: task.prompt }],
  tools: task.tools,
});
const final = await runner.finalChatCompletion();
let missing = null;
try {
  await client.chat.completions.create({ model: "smal", messages, tools });
} catch (error) {
  missing = { status: error.status, code: error.code };
}
const models = [];
for await (const model of client.models.list()) models.push(model.id);
const response = await client.responses.create({ model: "armwise/auto", input: "What is 12 + 30?" });
console.log(
  JSON.stringify({
    whole: whole.choices[0].message.content,
    arm: whole.armwise.arm,
    streamed,
    usage,
    called: called.choices[0].message.tool_calls[0].function,
    calledStreamed: final.choices[0].message.tool_calls[0].function,
    missing,
    models,
    response: response.output_text,
  }),
);
