# The command line as an image: docker build -t kafka-backup . && docker run --rm kafka-backup --help
# Debian's Node and not Alpine's: the native parts (lz4, snappy, crc32) are built for glibc.
FROM node:24-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm run build && npm prune --omit=dev --no-audit --no-fund

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /opt/kafka-backup
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/bin bin
COPY --from=build /build/dist dist
RUN ln -s /opt/kafka-backup/bin/kafka-backup /usr/local/bin/kafka-backup
# Relative paths in configurations, and backups into a folder, begin here.
WORKDIR /data
RUN chown node:node /data
USER node
ENTRYPOINT ["kafka-backup"]
CMD ["--help"]
