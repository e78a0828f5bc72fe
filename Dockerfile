# The log server, the witness, and the client beside them. Listens on every address of the container, so it wants tokens (or --public)
# and TLS (or --insecure, behind a proxy that speaks it): docs/operations.md has the command lines.
FROM node:24-bookworm-slim AS explorer
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json vite.config.ts ./
COPY src src
RUN npm run build

FROM node:24-bookworm-slim

ENV NODE_ENV=production \
    TREELINE_DATA=/data \
    TREELINE_LISTEN=0.0.0.0:8640
WORKDIR /app

# No script of any package runs: those that have native code bring it built.
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund \
 && npm cache clean --force

COPY LICENSE tsconfig.json ./
COPY cmd cmd
COPY schemas schemas
COPY src src
COPY witness witness
COPY --from=explorer /build/dist/explorer dist/explorer

# The image's own user without rights. Nothing below /app is written to: --read-only is fine.
RUN mkdir -m 0700 /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 8640

# For HTTP; where the server itself speaks TLS, replace it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8640/healthz').then(({ok}) => process.exit(ok ? 0 : 1), () => process.exit(1))"]

# The flags of the first line of the program.
ENTRYPOINT ["node", "--max-semi-space-size=8", "/app/cmd/treeline-server.ts"]
CMD ["serve"]
