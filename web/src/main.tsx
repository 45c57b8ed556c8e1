// Where the browser side starts: sign in with the launch token, then draw the screens.

import "virtual:palette.css";
import "./style.css";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Failure } from "./parts/states.tsx";
import { RequestError } from "./request-error.ts";
import { Shell } from "./shell.tsx";
import { signIn } from "./sign-in.ts";
import { applyTheme, savedTheme } from "./theme.ts";

applyTheme(savedTheme());

const client = new QueryClient({
  defaultOptions: {
    queries: {
      refetchOnWindowFocus: false,
      // A refusal stays one; a server that is away may be starting.
      retry: (failures, error) => error instanceof RequestError && error.status === 0 && failures < 1,
      retryDelay: 500,
    },
    mutations: { retry: false },
  },
});

const root = createRoot(document.getElementById("app") as HTMLElement);
try {
  await signIn();
  root.render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <Shell />
      </QueryClientProvider>
    </StrictMode>,
  );
} catch (error) {
  root.render(
    <main className="alone">
      <h1>tunediff</h1>
      <Failure error={error} />
    </main>,
  );
}
