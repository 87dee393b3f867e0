// npm's Socket.IO client in a namespace. Each line of standard input is an event to send, each line of
// output what came: an event, or the answer to the next one that was sent.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [address, token, namespace] = process.argv.slice(2);
const print = (line) => console.log(JSON.stringify(line));
const socket = io(`${address}${namespace}`, { auth: { token }, transports: ["websocket"], reconnectionDelay: 100 });
socket.on("connect", () => print({ event: "connect", data: {} }));
socket.on("connect_error", ({ message, data = null }) => print({ event: "connect_error", data: { message, data } }));
socket.on("disconnect", (reason) => print({ event: "disconnect", data: { reason } }));
socket.onAny((event, data) => print({ event, data }));
for await (const line of createInterface({ input: process.stdin })) {
  print({ answer: await socket.timeout(10_000).emitWithAck(...JSON.parse(line)).catch(({ message }) => ({ message })) });
}
socket.disconnect();
