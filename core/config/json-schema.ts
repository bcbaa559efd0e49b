// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
/** The configuration schema as JSON Schema: for editors, for the reference, for suggestions. */
import { z } from "zod";
import { configSchema } from "#core/config/schema.ts";

/** The part of JSON Schema (draft 2020-12) that the configuration schema comes out as. */
export interface JsonSchema {
  $schema?: string;
  $id?: string;
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  title?: string;
  description?: string;
  type?: string | string[];
  const?: string;
  enum?: string[];
  pattern?: string;
  format?: string;
  default?: unknown;
  /** Ours, see `schema.ts`; editors are given it as `examples`. */
  example?: unknown;
  examples?: unknown[];
  minimum?: number;
  maximum?: number;
  minItems?: number;
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  propertyNames?: JsonSchema;
  required?: string[];
  additionalProperties?: boolean | JsonSchema;
  oneOf?: JsonSchema[];
  anyOf?: JsonSchema[];
}

let converted: JsonSchema | undefined;

/** What a file may hold before variables are put in and defaults added. Shared: do not change. */
export function configJsonSchema(): JsonSchema {
  converted ??= z.toJSONSchema(configSchema, { io: "input" }) as JsonSchema;
  return converted;
}

/** The alternative of a union of sections (`mode`, `backend`) that `value` chose, or undefined. */
export function chosenOption(schema: JsonSchema, value: unknown): JsonSchema | undefined {
  if (schema.oneOf === undefined) return schema;
  return schema.oneOf.find((option) =>
    Object.entries(option.properties ?? {}).every(
      ([key, property]) =>
        property.const === undefined || propertyOf(value, key) === property.const,
    ),
  );
}

/** Schema of what stands at `path` of `value`, or undefined where the schema knows no such path. */
export function schemaAt(
  path: readonly PropertyKey[],
  value: unknown,
  schema: JsonSchema | undefined = configJsonSchema(),
): JsonSchema | undefined {
  if (schema === undefined || path.length === 0) return schema;
  const [first, ...rest] = path as [PropertyKey, ...PropertyKey[]];
  const option = chosenOption(schema, value);
  const additional = option?.additionalProperties;
  const next =
    option?.properties?.[String(first)] ??
    option?.items ??
    (typeof additional === "object" ? additional : undefined);
  return schemaAt(rest, propertyOf(value, first), next);
}

export function propertyOf(value: unknown, key: PropertyKey): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<PropertyKey, unknown>)[key];
}

const variable: JsonSchema = {
  type: "string",
  pattern: "\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}",
  description: "A value out of environment variables: ${NAME} or ${NAME:-default}.",
};

/**
 * The JSON Schema for editors (docs/config.schema.json): any value may be a variable, and
 * optional sections may be left empty.
 */
export function editorSchema(): JsonSchema {
  return {
    ...forEditors(configJsonSchema()),
    title: "kafka-backup configuration",
    $defs: { variable },
  };
}

function forEditors(schema: JsonSchema): JsonSchema {
  const { example, ...rest } = schema;
  const result: JsonSchema = example === undefined ? rest : { ...rest, examples: [example] };
  if (schema.oneOf !== undefined) result.oneOf = schema.oneOf.map(forEditors);
  if (schema.items !== undefined) result.items = forEditors(schema.items);
  if (typeof schema.additionalProperties === "object") {
    result.additionalProperties = forEditors(schema.additionalProperties);
  }
  if (schema.properties !== undefined) {
    result.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([key, property]) => {
        const isRequired = schema.required?.includes(key) ?? false;
        const converted = forEditors(property);
        return [key, isRequired ? converted : orEmpty(converted)];
      }),
    );
  }
  return orVariable(result);
}

function orEmpty(schema: JsonSchema): JsonSchema {
  return schema.type === "object" ? { ...schema, type: ["object", "null"] } : schema;
}

/** Lets a value that is not any string be a variable too. */
function orVariable(schema: JsonSchema): JsonSchema {
  const { description, default: fallback, examples, ...rules } = schema;
  const isRestricted =
    schema.const === undefined &&
    (["integer", "boolean"].includes(String(schema.type)) ||
      schema.enum !== undefined ||
      schema.pattern !== undefined ||
      schema.format !== undefined ||
      schema.anyOf !== undefined);
  if (!isRestricted) return schema;
  const result: JsonSchema = { anyOf: [rules, { $ref: "#/$defs/variable" }] };
  if (description !== undefined) result.description = description;
  if (fallback !== undefined) result.default = fallback;
  if (examples !== undefined) result.examples = examples;
  return result;
}
