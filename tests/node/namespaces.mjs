// npm's Socket.IO client in both namespaces: it joins them over one WebSocket by itself.
import { io } from "socket.io-client";

const [address, token, roomId] = process.argv.slice(2);
const options = { auth: { token }, transports: ["websocket"], reconnection: false };
const rooms = io(`${address}/rooms`, options);
const chat = io(`${address}/chat`, options);
const ask = (socket, ...event) => socket.timeout(10_000).emitWithAck(...event);

async function answer(message) {
  const turn = await ask(chat, "send", { message });
  let text = "";
  const append = (delta) => delta.turn_id === turn.id && (text += delta.text);
  chat.on("delta", append);
  const ended = await new Promise((resolve) => chat.on("done", (done) => done.id === turn.id && resolve(done)));
  chat.off("delta", append);
  return { text, whole: ended.bot_response, status: ended.status };
}

const joined = await ask(rooms, "join", { room_id: roomId });
const first = await answer("one");
rooms.disconnect(); // of one namespace: the WebSocket goes on
const second = await answer("two");
console.log(JSON.stringify({ shared: rooms.io === chat.io, present: joined.present.length, first, second }));
chat.disconnect();
