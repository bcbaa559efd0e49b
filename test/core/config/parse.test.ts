// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  backupText,
  parse,
  parseBackup,
  parseRestore,
  problemsOf,
  restoreText,
} from "#test/core/config/configuration.ts";

describe("places and suggestions", () => {
  test("an unknown key is named with line, column, path and the key that was meant", () => {
    expect(problemsOf(backupText.replace("include:", "includ:"))).toEqual([
      "f.yaml:5:3 source.topics.include: is required",
      "f.yaml:6:5 source.topics.includ: unknown key; did you mean include?",
    ]);
  });

  test("swapped letters are one mistake", () => {
    expect(problemsOf(backupText.replace("storage:", "stroage:"))).toContain(
      "f.yaml:7:1 stroage: unknown key; did you mean storage?",
    );
  });

  test("a key that resembles none gets no suggestion", () => {
    expect(problemsOf(`${backupText}colour: red\n`)).toEqual(["f.yaml:9:1 colour: unknown key"]);
  });

  test("a key of another backend or mode is said to do nothing here", () => {
    expect(problemsOf(`${backupText}  bucket: b\nrestore:\n  dry_run: true\n`)).toEqual([
      "f.yaml:9:3 storage.bucket: does nothing with backend: memory",
      "f.yaml:10:1 restore: does nothing with mode: backup",
    ]);
  });

  test("a wrong choice is answered with the choices", () => {
    expect(problemsOf(`${backupText}backup:\n  compression: zst\n`)).toEqual([
      "f.yaml:10:16 backup.compression: must be one of zstd, lz4, gzip, snappy, none; did you mean zstd?",
    ]);
    expect(problemsOf("mode: bakup\n")).toEqual([
      "f.yaml:1:7 mode: must be one of backup, restore; did you mean backup?",
    ]);
  });

  test("every problem is listed, in the order of the file", () => {
    const text = backupText.replace("kafka:9092", "[kafka, 'b:99999']").replace("nightly", "../up");
    expect(problemsOf(`${text}backup:\n  max_concurrent_partitions: 0\n`)).toEqual([
      "f.yaml:2:12 backup_id: must be 1 to 200 of the characters a-z A-Z 0-9 . _ -, the first not a dot",
      "f.yaml:4:23 source.bootstrap_servers[0]: must be HOST:PORT, e.g. kafka:9092",
      "f.yaml:4:30 source.bootstrap_servers[1]: must have a port of at most 65535",
      "f.yaml:10:30 backup.max_concurrent_partitions: must be at least 1",
    ]);
  });

  test("a missing mode, an empty file and a file that is no mapping are refused", () => {
    expect(problemsOf("backup_id: x\n")).toEqual(["f.yaml:1:1 mode: is required: backup, restore"]);
    expect(problemsOf("")).toEqual(["f.yaml holds no configuration"]);
    expect(problemsOf("# nothing\n")).toEqual(["f.yaml holds no configuration"]);
    expect(problemsOf("- a\n")).toEqual(["f.yaml:1:1 must be a section of keys"]);
  });

  test("text that YAML takes for a number asks for quotes", () => {
    expect(problemsOf(backupText.replace("nightly", "20250115"))).toEqual([
      "f.yaml:2:12 backup_id: must be text: put it in quotes",
    ]);
  });

  test("keys with odd characters cannot break a message into lines", () => {
    expect(problemsOf(`${backupText}"a\\nb: c": 1\n`)).toEqual([
      'f.yaml:9:1 ["a\\nb: c"]: unknown key',
    ]);
  });

  test("more problems than anybody reads are counted", () => {
    const keys = Array.from({ length: 30 }, (_, i) => `zz${i}: 1\n`).join("");
    const problems = problemsOf(backupText + keys);
    expect(problems).toHaveLength(21);
    expect(problems.at(-1)).toBe("and 10 more");
  });

  test("whatever the text is, the answer is a configuration or an InvalidConfigError", () => {
    const fragments = [
      "mode",
      "backup",
      ":",
      " ",
      "\n",
      "  ",
      "- ",
      "[",
      "]",
      "{",
      "}",
      "&a",
      "*a",
    ];
    const more = ["!t", "'", '"', "|", ">", "%", "---\n", "#", "${A}", "${", "?", "<<", "\t", "0"];
    const text = fc.array(fc.constantFrom(...fragments, ...more)).map((parts) => parts.join(""));
    fc.assert(
      fc.property(fc.oneof(text, fc.string({ unit: "binary" })), (input) => {
        expect(problemsOf(input).length).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });
});

describe("values", () => {
  test("what is not given has its default", () => {
    expect(parseBackup(backupText)).toEqual({
      mode: "backup",
      backup_id: "nightly",
      source: {
        bootstrap_servers: ["kafka:9092"],
        security_protocol: "PLAINTEXT",
        topics: { include: ["*"], exclude: [], allow_no_match: false },
      },
      storage: { backend: "memory", name: "default" },
      backup: {
        compression: "zstd",
        recompress: "never",
        segment_max_bytes: 134_217_728,
        checkpoint_interval_secs: 5,
        max_concurrent_partitions: 4,
        include_offset_headers: false,
      },
    });
    expect(parseRestore(restoreText)).toMatchObject({
      target: { topics: { include: ["*"], exclude: [] } },
      restore: { create_topics: true, dry_run: false, allow_non_empty: false },
    });
  });

  test("an empty section is one with defaults, and an empty key is not given", () => {
    const text = `${backupText}backup:\n  compression:\n`;
    expect(parseBackup(text).backup.compression).toBe("zstd");
    expect(problemsOf(backupText.replace("nightly", ""))).toEqual([
      "f.yaml:2:1 backup_id: is required",
    ]);
  });

  test("brokers are a list, or one string with commas", () => {
    const servers = (value: string) =>
      parseBackup(backupText.replace("kafka:9092", value)).source.bootstrap_servers;
    expect(servers("a:1, b:2")).toEqual(["a:1", "b:2"]);
    expect(servers('["a:1", "[::1]:2"]')).toEqual(["a:1", "[::1]:2"]);
    expect(problemsOf(backupText.replace("kafka:9092", "a:1,b"))).toEqual([
      "f.yaml:4:22 source.bootstrap_servers: must be HOST:PORT, e.g. kafka:9092",
    ]);
  });

  test("sizes are bytes, or have a unit", () => {
    const size = (value: string) =>
      parseBackup(`${backupText}backup:\n  segment_max_bytes: ${value}\n`).backup.segment_max_bytes;
    expect(size("1048576")).toBe(2 ** 20);
    expect(size("16MiB")).toBe(2 ** 24);
    for (const value of ["1", "5GiB", "1MB", "1.5MiB", "-1", "1e30"]) {
      expect(problemsOf(`${backupText}backup:\n  segment_max_bytes: ${value}\n`)[0]).toMatch(
        /^f.yaml:10:22 backup.segment_max_bytes: must be /,
      );
    }
  });

  test("anchors and aliases say a section twice", () => {
    const text = backupText.replace("kafka:9092", "&b [a:1]").replace('["*"]', "*b");
    expect(problemsOf(text.replace("*b", "*c"))).toEqual([
      "f.yaml:6:14 source.topics.include: is an alias without an anchor",
    ]);
    expect(parseBackup(text).source.topics.include).toEqual(["a:1"]);
  });

  test("filesystem storage takes base_path for path, but not both", () => {
    const storage = (lines: string) => backupText.replace("memory", `filesystem${lines}`);
    expect(parse(storage("\n  base_path: /b")).storage).toEqual({
      backend: "filesystem",
      path: "/b",
    });
    expect(problemsOf(storage("\n  base_path: /b\n  path: /b"))).toEqual([
      "f.yaml:9:14 storage.base_path: is another name for path: give one of the two",
    ]);
    expect(problemsOf(storage(""))).toEqual(["f.yaml:7:1 storage.path: is required"]);
  });

  test("S2 a prefix stays inside the bucket, and slashes at its ends do not count", () => {
    const storage = (prefix: string) =>
      backupText.replace("memory", `s3\n  bucket: abc\n  prefix: ${prefix}`);
    expect(parse(storage("/a/b/")).storage).toMatchObject({ prefix: "a/b" });
    expect(problemsOf(storage("a/../b"))).toEqual([
      "f.yaml:10:11 storage.prefix: must not hold the parts . or ..",
    ]);
  });

  test("the backup id `snapshots` is refused", () => {
    expect(problemsOf(backupText.replace("nightly", "snapshots"))[0]).toContain(
      "backup_id: must not be `snapshots`",
    );
  });

  test("patterns that would turn include around, or can match no topic, are refused", () => {
    for (const pattern of ["!a", "a/b", "a b", ""]) {
      expect(problemsOf(backupText.replace('["*"]', `["${pattern}"]`))[0]).toMatch(
        /^f.yaml:6:15 source.topics.include\[0\]: must not /,
      );
    }
  });
});

describe("variables", () => {
  const text = backupText.replace("kafka:9092", "${SERVERS}");

  test("are filled in, also as numbers and booleans", () => {
    const env = { SERVERS: "a:1,b:2", LIMIT: "7", SIZE: "1MiB" };
    const more = "backup:\n  max_concurrent_partitions: ${LIMIT}\n  segment_max_bytes: ${SIZE}\n";
    const config = parseBackup(text + more, { env });
    expect(config.source.bootstrap_servers).toEqual(["a:1", "b:2"]);
    expect(config.backup).toMatchObject({
      max_concurrent_partitions: 7,
      segment_max_bytes: 2 ** 20,
    });
    const restore = `${restoreText}  dry_run: \${DRY}\n  lineage: \${LINEAGE}\n`;
    expect(parseRestore(restore, { env: { DRY: "true", LINEAGE: "2" } }).restore).toMatchObject({
      dry_run: true,
      lineage: 2,
    });
  });

  test("stay text where text is wanted, however much they look like numbers", () => {
    expect(parse(backupText.replace("nightly", "${ID}"), { env: { ID: "2025" } }).backup_id).toBe(
      "2025",
    );
  });

  test("that are not set are named with their place", () => {
    expect(problemsOf(text)).toEqual([
      "f.yaml:4:22 source.bootstrap_servers: needs the environment variable SERVERS, which is not set",
    ]);
  });

  test("that are unset or empty give way to a default", () => {
    const withDefault = backupText.replace("nightly", "${ID:-a:-b}");
    const id = (env: Record<string, string>) => parse(withDefault, { env }).backup_id;
    expect(id({ ID: "mine" })).toBe("mine");
    expect(problemsOf(withDefault, { env: { ID: "" } })[0]).toContain(
      "backup_id: must be 1 to 200",
    );
    expect(parse(backupText.replace("nightly", "${ID:-x}")).backup_id).toBe("x");
  });

  test("that leave a value empty leave it ungiven", () => {
    const storage = "s3\n  bucket: abc\n  region: ${REGION:-}";
    expect(parse(backupText.replace("memory", storage)).storage).not.toHaveProperty("region");
  });

  test("cannot bring in structure, nor further variables", () => {
    const env = { ID: "x\nmode: restore\nstorage: {backend: s3}", OTHER: "secret" };
    expect(problemsOf(backupText.replace("nightly", "${ID}"), { env })).toHaveLength(1);
    const sasl = (password: string) =>
      backupText.replace(
        "  topics:",
        () =>
          "  security_protocol: SASL_SSL\n  sasl_mechanism: PLAIN\n  sasl_username: u\n" +
          `  sasl_password: ${password}\n  topics:`,
      );
    const password = (template: string, value: string) =>
      parseBackup(sasl(template), { env: { P: value, OTHER: "secret" } }).source.sasl_password;
    expect(password("${P}", "a: [b\n# ${OTHER}")).toBe("a: [b\n# ${OTHER}");
    expect(password("'$${P}-$5-${P}'", "p")).toBe("${P}-$5-p");
  });

  test("that are malformed are refused", () => {
    for (const bad of ["${", "${A", "${1A}", "${A-b}", "${}", "${a b}"]) {
      expect(problemsOf(backupText.replace("nightly", `"${bad}"`), { env: { A: "x" } })).toEqual([
        "f.yaml:2:12 backup_id: has a `${` that is not ${NAME} or ${NAME:-default}; write $${ for the characters",
      ]);
    }
  });

  test("S5 what they hold is in no message, wherever they stand", () => {
    const env = { S: "hunter2 hunter2" };
    const places = [
      ["nightly", "${S}"],
      ["kafka:9092", "${S}"],
      ["kafka:9092", "[${S}]"],
      ['["*"]', "[ '${S}' ]"],
      ['["*"]', "${S}"],
      ["memory", "${S}"],
      ["memory", "s3\n  bucket: ${S}"],
      ["memory", "s3\n  bucket: abc\n  endpoint: ${S}"],
      ["mode: backup", "mode: ${S}"],
    ] as const;
    for (const [from, to] of places) {
      const message = problemsOf(backupText.replace(from, to), { env }).join("\n");
      expect(message).not.toContain("hunter2");
    }
    for (const key of ["compression", "max_concurrent_partitions", "segment_max_bytes"]) {
      const message = problemsOf(`${backupText}backup:\n  ${key}: \${S}\n`, { env }).join("\n");
      expect(message).not.toContain("hunter2");
    }
    const mappings = ["topic_mapping: {a: '${S}'}", "time_window_end: ${S}", "lineage: ${S}"];
    for (const line of mappings) {
      const message = problemsOf(`${restoreText}  ${line}\n`, { env }).join("\n");
      expect(message).not.toContain("hunter2");
    }
  });
});

describe("keys that belong together", () => {
  const connection = (...lines: string[]) =>
    backupText.replace("  topics:", `  ${lines.join("\n  ")}\n  topics:`);

  test("a SASL protocol needs mechanism, user and password", () => {
    expect(problemsOf(connection("security_protocol: SASL_SSL"))).toEqual([
      "f.yaml:3:1 source.sasl_mechanism: is required with security_protocol SASL_SSL",
      "f.yaml:3:1 source.sasl_username: is required with security_protocol SASL_SSL",
      "f.yaml:3:1 source.sasl_password: is required with security_protocol SASL_SSL",
    ]);
  });

  test("a login or a certificate that would not be used is refused", () => {
    expect(problemsOf(connection("sasl_username: u", "ssl_ca_location: ca.pem"))).toEqual([
      "f.yaml:5:18 source.sasl_username: does nothing without security_protocol SASL_PLAINTEXT or SASL_SSL",
      "f.yaml:6:20 source.ssl_ca_location: does nothing without security_protocol SSL or SASL_SSL",
    ]);
  });

  test("a client certificate comes with its key", () => {
    const text = connection("security_protocol: SSL", "ssl_certificate_location: c.pem");
    expect(problemsOf(text)).toEqual([
      "f.yaml:3:1 source.ssl_key_location: is required with ssl_certificate_location",
    ]);
  });

  test("an S3 access key comes with its secret, a token with both", () => {
    const s3 = (line: string) => backupText.replace("memory", `s3\n  bucket: abc\n  ${line}`);
    expect(problemsOf(s3("access_key_id: k"))).toEqual([
      "f.yaml:7:1 storage.secret_access_key: is required with access_key_id",
    ]);
    expect(problemsOf(s3("session_token: t"))).toEqual([
      "f.yaml:7:1 storage.access_key_id: is required with session_token",
    ]);
  });

  test("a compression level lies in its codec's range", () => {
    const level = (codec: string, value: number) =>
      `${backupText}backup:\n  compression: ${codec}\n  compression_level: ${value}\n`;
    expect(parseBackup(level("zstd", 19)).backup.compression_level).toBe(19);
    expect(problemsOf(level("zstd", 20))).toEqual([
      "f.yaml:11:22 backup.compression_level: must be 1 to 19 for zstd",
    ]);
    expect(problemsOf(level("gzip", 0))).toEqual([
      "f.yaml:11:22 backup.compression_level: must be 1 to 9 for gzip",
    ]);
    expect(problemsOf(level("lz4", 1))).toEqual([
      "f.yaml:11:22 backup.compression_level: does nothing: lz4 has no levels",
    ]);
  });
});

describe("restores", () => {
  const window = (value: string) => `${restoreText}  time_window_end: ${value}\n`;
  const end = (value: string) => parseRestore(window(value)).restore.time_window_end;

  test("R9 times are milliseconds or ISO 8601 with a zone", () => {
    expect(end("1736985600000")).toBe(1736985600000n);
    expect(end("'1736985600000'")).toBe(1736985600000n);
    expect(end("0")).toBe(0n);
    expect(end("2025-01-16T00:00:00Z")).toBe(1736985600000n);
    expect(end("2025-01-16T01:00:00.250+01:00")).toBe(1736985600250n);
  });

  test("R9 a 10-digit time is refused as seconds", () => {
    expect(problemsOf(window("1736985600"))).toEqual([
      "f.yaml:8:20 restore.time_window_end: looks like seconds; Unix milliseconds are wanted (three digits more)",
    ]);
  });

  test("R9 times that would be cut, shifted or guessed are refused", () => {
    const bad = ["1736985600000000", "'1736985600000000000'", "-1", "2025-01-16T00:00:00", "now"];
    const worse = [
      "2025-01-16",
      "2025-02-30T00:00:00Z",
      "2025-01-16T00:00:00.1234Z",
      "1.5",
      "true",
    ];
    for (const value of [...bad, ...worse]) {
      expect(problemsOf(window(value))[0], value).toMatch(/^f.yaml:8:20 restore.time_window_end: /);
    }
  });

  test("R9 a window ends where it starts, or later", () => {
    const both = (from: string, to: string) => `${window(to)}  time_window_start: ${from}\n`;
    expect(parseRestore(both("5", "5")).restore).toMatchObject({
      time_window_start: 5n,
      time_window_end: 5n,
    });
    expect(problemsOf(both("6", "5"))).toEqual([
      "f.yaml:8:20 restore.time_window_end: must not be before time_window_start",
    ]);
  });

  test("mappings take topic names and partition numbers only", () => {
    const text = `${restoreText}  topic_mapping: {a/b: c, d: ".."}\n  partition_mapping: {a: {x: 1}}\n`;
    expect(problemsOf(text)).toEqual([
      'f.yaml:8:19 restore.topic_mapping["a/b"]: must be a topic name: 1 to 249 of the characters a-z A-Z 0-9 . _ -',
      "f.yaml:8:30 restore.topic_mapping.d: must be a topic name: 1 to 249 of the characters a-z A-Z 0-9 . _ -",
      "f.yaml:9:27 restore.partition_mapping.a.x: must be a partition number, e.g. 0",
    ]);
  });

  test("two source partitions onto one target partition are refused", () => {
    const line = (mapping: string) => problemsOf(`${restoreText}  ${mapping}\n`);
    expect(line("partition_mapping: {a: {0: 1, 1: 1}}")).toEqual([
      'f.yaml:8:36 restore.partition_mapping.a["1"]: partition 0 of a and partition 1 of a would go to the same target partition',
    ]);
    expect(line("topic_mapping: {a: x, b: x}")).toEqual([
      "f.yaml:8:28 restore.topic_mapping.b: partition 0 of a and partition 0 of b would go to the same target partition",
    ]);
  });

  test("topics may be merged where their partitions stay apart", () => {
    const text = `${restoreText}  topic_mapping: {a: x, b: x}\n  partition_mapping: {b: {0: 1}}\n`;
    expect(parseRestore(text).restore.partition_mapping).toEqual({ b: { "0": 1 } });
  });

  test("a lineage is one number, or one by topic, or by topic and partition", () => {
    const lineage = (value: string) =>
      parseRestore(`${restoreText}  lineage: ${value}\n`).restore.lineage;
    expect(lineage("2")).toBe(2);
    expect(lineage("{a: 1, b: {3: 2}}")).toEqual({ a: 1, b: { "3": 2 } });
    for (const value of ["0", "newest", "{a: 0}", "{a: {x: 1}}"]) {
      expect(problemsOf(`${restoreText}  lineage: ${value}\n`)[0], value).toMatch(
        /^f.yaml:8:\d+ restore.lineage.*: must be /,
      );
    }
  });

  test("an option of the command line stands over the file, and problems name it", () => {
    const override = (value: string) => ({
      overrides: [{ path: ["restore", "time_window_end"], value, from: "--time-window-end" }],
    });
    const text = `${restoreText}  time_window_start: 1000000000000\n`;
    expect(parseRestore(text, override("1000000000001")).restore.time_window_end).toBe(
      1000000000001n,
    );
    expect(parseRestore(window("1"), override("5")).restore.time_window_end).toBe(5n);
    expect(problemsOf(text, override("1736985600"))).toEqual([
      "--time-window-end: looks like seconds; Unix milliseconds are wanted (three digits more)",
    ]);
    expect(problemsOf(text, override("5"))).toEqual([
      "--time-window-end: must not be before time_window_start",
    ]);
  });
});
