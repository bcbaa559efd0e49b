// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
/**
 * Variables inside values: `${NAME}`, `${NAME:-default}` (for a variable that is unset or empty),
 * and `$${` for a literal `${`. What a variable holds is taken as it is: it is neither YAML nor
 * looked through for further variables.
 */

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Substituted {
  readonly text: string;
  /** Whether a variable was named at all. */
  readonly hasVariables: boolean;
  /** What is wrong; names variables, never what they hold. */
  readonly problems: readonly string[];
}

const reference = /\$\$\{|\$\{([^}]*)\}?/g;
const expression = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/;

export function substituteVariables(template: string, env: Environment): Substituted {
  const problems: string[] = [];
  let hasVariables = false;
  const text = template.replace(reference, (whole: string, inner: string | undefined) => {
    if (whole === "$${") return "${";
    const [, name, fallback] = (whole.endsWith("}") && expression.exec(inner ?? "")) || [];
    if (name === undefined) {
      problems.push(
        "has a `${` that is not ${NAME} or ${NAME:-default}; write $${ for the characters",
      );
      return "";
    }
    hasVariables = true;
    const value = env[name];
    if (fallback !== undefined) return value === undefined || value === "" ? fallback : value;
    if (value === undefined) {
      problems.push(`needs the environment variable ${name}, which is not set`);
    }
    return value ?? "";
  });
  return { text, hasVariables, problems };
}
