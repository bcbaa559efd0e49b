/**
 * Makes a fresh checkout ready: checks what must be on the machine, then installs the node
 * modules, a current Node among them. Runs before `npm test`, `npm run demo` and `npm run bench`
 * on whatever Node started npm, so it is plain JavaScript and needs no module.
 *
 *   node scripts/prepare.mjs REQUIREMENT...     java maven python openssl
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import {
  missingJava,
  missingMaven,
  missingOpenssl,
  missingPython,
} from "../local/requirements.mjs";

const nodeMajorMin = 20;

/** @type {Record<string, () => Promise<string | undefined>>} */
const checks = {
  java: missingJava,
  maven: missingMaven,
  python: missingPython,
  openssl: missingOpenssl,
};

/** @returns {string | undefined} */
function oldNode() {
  const { node } = process.versions;
  if (Number(node.split(".")[0]) >= nodeMajorMin) return undefined;
  return `Node ${nodeMajorMin} or later is needed to install the rest: this is ${node}.`;
}

/**
 * npm writes the hidden lockfile last, when an installation is complete. Contents are compared, not
 * times: `git checkout` and `touch` make a lockfile newer that nobody changed.
 */
function isInstalled() {
  const installed = lockedPackages("node_modules/.package-lock.json");
  const wanted = lockedPackages("package-lock.json");
  if (installed === undefined || wanted === undefined) return false;
  for (const [path, { version, integrity, optional }] of Object.entries(wanted)) {
    const found = installed[path];
    // Optional ones are those of other systems, too, and npm leaves them out.
    if (path === "" || (found === undefined && optional === true)) continue;
    if (found?.version !== version || found?.integrity !== integrity) return false;
  }
  return Object.keys(installed).every((path) => wanted[path] !== undefined);
}

/**
 * @typedef {{ version?: string, integrity?: string, optional?: boolean }} LockedPackage
 * @param {string} file
 * @returns {Record<string, LockedPackage> | undefined} by path below the checkout
 */
function lockedPackages(file) {
  if (!existsSync(file)) return undefined;
  return JSON.parse(readFileSync(file, "utf8")).packages;
}

const names = process.argv.slice(2);
const missing = [oldNode(), ...(await Promise.all(names.map((name) => checks[name]?.())))];
const lines = missing.filter((line) => line !== undefined);
if (lines.length > 0) {
  for (const line of lines) console.error(line);
  process.exit(1);
}
if (!isInstalled()) {
  console.error("Installing node modules (once) ...");
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (npm.status !== 0) process.exit(npm.status ?? 1);
}
