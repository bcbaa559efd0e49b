import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { commands } from "#cli/commands/index.ts";
import { softwareVersion } from "#core/software.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import { backupText } from "#test/core/config/configuration.ts";
import {
  syntheticBackup,
  syntheticBackupId,
  syntheticBatches,
} from "#test/support/synthetic-backup.ts";
import { bundle } from "../../scripts/bundle.ts";

const root = join(import.meta.dirname, "../..");
const launcher = join(root, "bin/kafka-backup");
const ownNode = join(root, "node_modules/node/bin/node");

/** The Node that the machine has, of whatever version; the project's own where it has none. */
const systemNode = ["/usr/bin/node", "/usr/local/bin/node"].find(existsSync) ?? ownNode;

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly out: string;
  readonly err: string;
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-launcher-"));
});
afterAll(() => rm(folder, { recursive: true }));

function start(node: string, args: readonly string[], script = launcher) {
  const env = { ...process.env, ID: "id-from-outside" };
  const child = spawn(node, [script, ...args], {
    cwd: folder,
    env,
    // A process group of its own, so that signals can be sent to it as a terminal does.
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const written = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    written.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    written.err += text;
  });
  const ended = once(child, "close").then(
    ([code, signal]): Ended => ({ code, signal, ...written }),
  );
  return { child, ended };
}

function run(node: string, ...args: string[]): Promise<Ended> {
  return start(node, args).ended;
}

describe.each([
  ["the machine's Node", systemNode],
  ["the project's Node", ownNode],
])("bin/kafka-backup on %s", (_, node) => {
  test("answers without any warning", async () => {
    expect(await run(node, "--version")).toEqual({
      code: 0,
      signal: null,
      out: `${softwareVersion}\n`,
      err: "",
    });
  });

  test("ends with the command's exit code", async () => {
    const { code, err } = await run(node, "config", "check", "--config", "none.yaml");
    expect(code).toBe(2);
    expect(err).toMatch(/^InvalidRequestError: configuration none.yaml cannot be read: ENOENT\n/);
  });

  test("reads the environment", async () => {
    await writeFile(join(folder, "env.yaml"), backupText.replace("nightly", "$\u007bID}"));
    const { out } = await run(node, "config", "check", "--config", "env.yaml");
    expect(out).toContain("backup of id-from-outside");
  });

  test("Ctrl-C cancels the command once, even where two processes hear of it", async () => {
    const silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const text = backupText.replace("kafka:9092", `127.0.0.1:${port}`);
    await writeFile(join(folder, "silent.yaml"), text);
    const { child, ended } = start(node, ["backup", "--config", "silent.yaml"]);
    const [socket] = (await once(silent, "connection")) as [Socket];
    socket.on("error", () => undefined);
    // As a terminal does: to the whole process group.
    process.kill(-child.pid!, "SIGINT");
    const { code, err } = await ended;
    silent.close();
    expect(err).toContain("Stopping; what is durable is kept.");
    expect(err).toContain(
      "CancelledError: stopped by SIGINT\nhint: The same command continues it.\n",
    );
    expect(code).toBe(130);
  });
});

test("a signal to the launcher alone reaches the command", async () => {
  const silent = createServer().listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  await writeFile(join(folder, "term.yaml"), backupText.replace("kafka:9092", `127.0.0.1:${port}`));
  const { child, ended } = start(systemNode, ["backup", "--config", "term.yaml"]);
  const [socket] = (await once(silent, "connection")) as [Socket];
  socket.on("error", () => undefined);
  child.kill("SIGTERM");
  const { code, err } = await ended;
  silent.close();
  expect(err).toContain("CancelledError: stopped by SIGTERM");
  expect(code).toBe(130);
});

async function modulesLoadedBy(commandLines: string[][]): Promise<string> {
  const script = join(folder, "loaded.mjs");
  const main = pathToFileURL(join(root, "cli/main.ts")).href;
  await writeFile(
    script,
    `import { registerHooks } from "node:module";
    const loaded = [];
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) });
    const { run } = await import(${JSON.stringify(main)});
    const io = { stdout: { write() {} }, stderr: process.stderr, env: {}, onSignal: () => () => {} };
    for (const argv of ${JSON.stringify(commandLines)}) process.exitCode ||= await run(argv, io);
    console.log(loaded.join("\\n"));`,
  );
  const { out, err, code } = await start(ownNode, [], script).ended;
  expect({ err, code }).toEqual({ err: "", code: 0 });
  expect(out).toContain("/commander/");
  return out;
}

test("help loads the parser of the command line and no other package", async () => {
  const packages = (await modulesLoadedBy([["--help"]])).matchAll(/node_modules\/([^/]+)/g);
  expect(new Set([...packages].map(([, name]) => name))).toEqual(new Set(["commander"]));
});

/** Clients of services, and codecs: each costs a command that does without it a part of a second. */
const heavy =
  /node_modules\/(kafkajs|@aws-sdk|@smithy|@azure|google-auth-library|lz4-napi|snappy|@node-rs)\//;

test("help of no command loads a client of Kafka or of a cloud, or a codec", async () => {
  const loaded = await modulesLoadedBy(commands.map(({ name }) => [name, "--help"]));
  expect(loaded).not.toMatch(heavy);
});

test("a command that reads a folder alone loads no client of Kafka or of a cloud", async () => {
  const path = join(folder, "backups");
  const storage = openFilesystem(path);
  await syntheticBackup(storage).addRun({ partitions: [{ segments: [syntheticBatches(0n, 2)] }] });
  const at = ["--path", path];
  const loaded = await modulesLoadedBy([
    ["list", ...at],
    ["describe", "--backup-id", syntheticBackupId, ...at],
  ]);
  expect(loaded).toContain("core/storage/filesystem.ts");
  expect(loaded).not.toMatch(heavy);
});

describe("the published package", () => {
  let packed: string;
  beforeAll(async () => {
    packed = join(folder, "node_modules/kafka-backup");
    await mkdir(packed, { recursive: true });
    await bundle(join(packed, "dist"));
    await cp(join(root, "package.json"), join(packed, "package.json"));
    await cp(join(root, "bin"), join(packed, "bin"), { recursive: true });
    for (const name of ["@node-rs", "lz4-napi", "@antoniomuso", "snappy", "@napi-rs"]) {
      const installed = join(root, "node_modules", name);
      if (existsSync(installed)) await symlink(installed, join(folder, "node_modules", name));
    }
  }, 60_000);

  test("runs from its bundle, without sources", async () => {
    const script = join(packed, "bin/kafka-backup");
    await writeFile(join(folder, "packed.yaml"), backupText.replace("kafka:9092", "127.0.0.1:1"));
    const check = await start(ownNode, ["config", "check", "--config", "packed.yaml"], script)
      .ended;
    expect(check).toMatchObject({
      code: 0,
      err: "",
      out: "packed.yaml is right: backup of nightly\n",
    });
    const backup = await start(ownNode, ["backup", "--config", "packed.yaml"], script).ended;
    expect(backup.err).toMatch(/^BrokerUnavailableError: /);
    expect(backup.code).toBe(1);
  });

  test("says which Node it needs where it has none", async () => {
    const tooOld = join(folder, "too-old.mjs");
    const script = pathToFileURL(join(packed, "bin/kafka-backup")).href;
    await writeFile(
      tooOld,
      `Object.defineProperty(process.versions, "node", { value: "20.1.0" });
      await import(${JSON.stringify(script)});`,
    );
    const { code, err } = await start(ownNode, [], tooOld).ended;
    expect(err).toMatch(/^kafka-backup needs Node 22.15 or later; this is 20.1.0.\n/);
    expect(code).toBe(1);
  });
});
