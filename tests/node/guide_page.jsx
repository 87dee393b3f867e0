// The page of docs/guides/use-chat.md, whose blocks are beside this file when it is bundled.
import { createRoot } from "react-dom/client";
import { Chat, loadMessages } from "./guide.jsx";

loadMessages(window.settings).then((messages) => {
  createRoot(document.body).render(<Chat {...window.settings} messages={messages} />);
});
