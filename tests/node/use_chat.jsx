// A page with the AI SDK's hook, unpatched; tests call it as `chat`, and read what a page would show.
import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { useEffect } from "react";
import { createRoot } from "react-dom/client";

const { api, id, token, messages } = window.settings;
const transport = new DefaultChatTransport({ api, headers: { Authorization: `Bearer ${token}` } });

function Page() {
  const chat = useChat({ id, messages, transport, resume: true });
  const { error, resumeStream } = chat;
  useEffect(() => {
    if (error instanceof TypeError) setTimeout(resumeStream, 50); // the connection broke
  }, [error, resumeStream]);
  window.chat = chat;
  return null;
}

window.stop = () => fetch(`${api}${id}/stop/`, { method: "POST", headers: { Authorization: `Bearer ${token}` } });
window.textOf = (message) => message.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
createRoot(document.body).render(<Page />);
