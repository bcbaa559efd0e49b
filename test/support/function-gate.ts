/**
 * Loaded by a function's process before the function itself (`gateFunction`): waits until the test
 * answers.
 */
const gate = process.env.FUNCTION_GATE;
if (gate === undefined) throw new Error("FUNCTION_GATE names no gate");
await fetch(gate);

export {};
