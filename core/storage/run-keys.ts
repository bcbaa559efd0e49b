/** Which keys of a backup are those that runs write, by their shape alone. */

const documentPattern = /^runs\/[^/]+\/(run\.json|cluster\.json|topics\/[^/]+\.json)$/;
const statePattern = /^state\/runs\/[^/]+\/(run\.json|plan\.json|checkpoints\/.+\.json)$/;

/** One below `runsFolder`: a run's documents. */
export function isRunDocumentKey(key: string): boolean {
  return documentPattern.test(key);
}

/** One below `stateRunsFolder`: what a run that is under way has stored. */
export function isRunStateKey(key: string): boolean {
  return statePattern.test(key);
}
