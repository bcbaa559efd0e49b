// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
/** The documents that are made from code, by path. `npm run generate` writes them. */
import { editorSchema } from "#core/config/json-schema.ts";
import {
  configSection,
  type KeyReference,
  type SectionReference,
  storageSections,
} from "#core/config/reference.ts";
import { configTemplate } from "#core/config/template.ts";
import { errorTable, type RetryClass } from "#core/errors.ts";
import { toPrettyJson } from "#core/json.ts";

export function generatedDocuments(): Readonly<Record<string, string>> {
  return {
    "docs/config.schema.json": toPrettyJson(editorSchema()),
    "docs/config.md": configDocument(),
    "docs/errors.md": errorsDocument(),
  };
}

const generatedNote = "<!-- Made by `npm run generate`. Change the code that it is made from. -->";

function configDocument(): string {
  const backup = configSection("backup");
  const restore = configSection("restore");
  const inner = ({ sections }: SectionReference, path: string) =>
    sections.filter((section) => section.path === path).flatMap(withInner);
  const lines = [
    generatedNote,
    "# Configuration",
    "",
    "One YAML file says what a backup or a restore is to do. `kafka-backup config init backup`",
    "and `config init restore` write a first one; `config check --config FILE` names every problem",
    "with its line and column, and connects to nothing.",
    "",
    ...editorChapter,
    ...valuesChapter,
    ...clientPropertiesChapter,
    "## Top level",
    "",
    ...keyTable([
      modeKey,
      ...backup.keys.filter(({ name }) => name !== "mode"),
      ...sectionKeys(backup, restore),
    ]),
    ...inner(backup, "source").flatMap(sectionChapter),
    ...inner(restore, "target").flatMap(sectionChapter),
    ...storageSections().flatMap(storageChapter),
    ...inner(backup, "backup").flatMap(sectionChapter),
    ...inner(restore, "restore").flatMap(sectionChapter),
    "## A whole backup file",
    "",
    ...yamlBlock(configTemplate("backup")),
    "## A whole restore file",
    "",
    ...yamlBlock(configTemplate("restore")),
  ];
  return `${lines.join("\n").trimEnd()}\n`;
}

const editorChapter = [
  "## In an editor",
  "",
  "[config.schema.json](config.schema.json) is this reference as a JSON Schema. Editors with a YAML",
  "language server (VS Code with the YAML extension, IntelliJ, Neovim, Helix) complete and check",
  "against it when the file's first line names it, by path or URL:",
  "",
  ...yamlBlock(
    "# yaml-language-server: $schema=./node_modules/kafka-backup/docs/config.schema.json\n",
  ),
];

const clientPropertiesChapter = [
  "## Properties of a Kafka client",
  "",
  "Where TLS and logins are told to Kafka's own tools already, `--command-config FILE` takes the same",
  "`.properties` file in every command that connects, in place of `security_protocol`, `sasl_*` and",
  "`ssl_*` of the section (`source` of a backup, `target` of a restore; `--source-command-config` is",
  "for the source of a restore). Credentials in both places are refused. Brokers that the",
  "configuration or `--bootstrap-servers` names go before `bootstrap.servers`. The file is read as",
  "`java.util.Properties` reads it, in Latin-1.",
  "",
  "| keys | taken |",
  "|---|---|",
  "| `bootstrap.servers`, `client.id`, `security.protocol` | as they are |",
  "| `sasl.mechanism`, `sasl.jaas.config` | PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM, with the login module of each |",
  "| `sasl.oauthbearer.token.endpoint.url`, `sasl.oauthbearer.client.credentials.client.id`, `.client.secret`, `sasl.oauthbearer.scope` | an endpoint, or a `file:` URL; id, secret, scope and `extension_…` also as options of the login module |",
  "| `ssl.truststore.location`, `ssl.truststore.certificates` | with `ssl.truststore.type=PEM` |",
  "| `ssl.keystore.location`, `ssl.keystore.certificate.chain` with `ssl.keystore.key`; `ssl.key.password` | with `ssl.keystore.type=PEM` |",
  "| `ssl.endpoint.identification.algorithm` | `https`, or empty |",
  "",
  "A JKS or PKCS12 store is refused with the command that writes it as PEM. Any other key of `ssl.`,",
  "`sasl.`, `security.` or `config.providers` is refused, as who is trusted may hang on it; what only",
  "tunes Java's client (`linger.ms`, `sasl.login.refresh.…`) is named once and does nothing.",
  "",
];

const valuesChapter = [
  "## Values",
  "",
  "- **Variables.** `${NAME}` stands for an environment variable, `${NAME:-default}` for one that",
  "  may be unset or empty, `$${` for the two characters. They are put into values after the YAML",
  "  has been read: whatever a variable holds stays inside its value. They work in any value, also",
  "  numbers and true or false, and not in keys. A variable that is not set is an error, unless it",
  "  has a default. Messages never show what a variable holds.",
  "- **Empty** values count as not given, also those that are empty once variables are filled in.",
  "- **Sizes** are bytes: a number, or text with `KiB`, `MiB` or `GiB`.",
  "- **Times** are Unix milliseconds, or ISO 8601 with a zone (`2025-01-15T10:30:00Z`,",
  "  `2025-01-15T11:30:00.250+01:00`). Numbers of ten digits are seconds and are refused.",
  "- **Paths** that are relative start at the working directory.",
  "- **Limits.** A file has at most 1 MiB and 100,000 words and signs; aliases count as what they",
  "  stand for. Tags, merge keys, further documents, unknown and duplicate keys are refused.",
  "",
];

const modeKey: KeyReference = {
  name: "mode",
  description: "What the file is for. It decides which sections there are.",
  isRequired: true,
  kind: "backup, restore",
  default: undefined,
  example: undefined,
};

/** The sections of the top level as rows, the modes that have them said. */
function sectionKeys(backup: SectionReference, restore: SectionReference): KeyReference[] {
  const modes = [["backup", backup] as const, ["restore", restore] as const];
  const paths = new Set(modes.flatMap(([, { sections }]) => sections.map(({ path }) => path)));
  return [...paths].map((name) => {
    const uses = modes.flatMap(([mode, { sections }]) =>
      sections.filter(({ path }) => path === name).map((section) => ({ mode, ...section })),
    );
    const isShared = new Set(uses.map(({ description }) => description)).size < uses.length;
    const isRequired = uses.every((use) => use.isRequired);
    const description = uses.map((use) => {
      const note = use.isRequired && !isRequired ? ", required" : "";
      return `${use.description} Mode \`${use.mode}\`${note}.`;
    });
    return {
      name,
      description: isShared ? (uses[0]?.description ?? "") : description.join(" "),
      isRequired,
      kind: "section",
      default: undefined,
      example: undefined,
    };
  });
}

function withInner(section: SectionReference): SectionReference[] {
  return [section, ...section.sections.flatMap(withInner)];
}

function sectionChapter({ path, description, keys }: SectionReference): string[] {
  return [`## ${path}`, "", description, "", ...keyTable(keys)];
}

function storageChapter({ keys }: SectionReference): string[] {
  const [backend, ...others] = keys;
  return [
    `## storage, backend: ${backend?.kind}`,
    "",
    backend?.description ?? "",
    "",
    ...keyTable(others),
  ];
}

function keyTable(keys: readonly KeyReference[]): string[] {
  return [
    "| key | value | unless given | what it does |",
    "|---|---|---|---|",
    ...keys.map(({ name, kind, isRequired, description, default: fallback, example }) => {
      const isListed = kind.split(", ").includes(String(example));
      const shown = example === undefined || isListed ? "" : ` E.g. ${code(example)}.`;
      const unlessGiven = isRequired
        ? "**required**"
        : fallback === undefined
          ? ""
          : code(fallback);
      return `| ${[`\`${name}\``, kind, unlessGiven, description + shown].map(cell).join(" | ")} |`;
    }),
    "",
  ];
}

function code(value: unknown): string {
  return `\`${typeof value === "string" ? value || '""' : JSON.stringify(value)}\``;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function yamlBlock(text: string): string[] {
  return ["```yaml", text.trimEnd(), "```", ""];
}

const retryMeanings: Readonly<Record<RetryClass, string>> = {
  backoff: "the same step may succeed after a pause",
  wait: "the same step may succeed when somebody else is done",
  catch: "handled in its own way by the run",
  never: "repeating the same step cannot help",
};

function errorsDocument(): string {
  const classes = Object.entries(retryMeanings).map(([name, text]) => `- \`${name}\`: ${text}`);
  const rows = Object.entries(errorTable).map(
    ([name, { retry, exitCode, status, summary, hint }]) =>
      `| \`${name}\` | ${[retry, exitCode, status, summary, hint].map(String).map(cell).join(" | ")} |`,
  );
  const lines = [
    generatedNote,
    "# Errors",
    "",
    "Names are a public contract: they are added, never renamed. The command line ends with the",
    "exit code; the retry class says what repeating the failed step can do:",
    "",
    ...classes,
    "",
    "Besides these, exit code 0 is done, 1 any other failure, and 3 done with gaps or with",
    "partitions that failed.",
    "",
    "| name | retry | exit code | HTTP status | what happened | what to do |",
    "|---|---|---|---|---|---|",
    ...rows,
  ];
  return `${lines.join("\n")}\n`;
}
