import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { runSession, type Session } from "#cli/session.ts";
import { BackupError, type ErrorName, errorTable } from "#core/errors.ts";
import { type FakeIo, fakeIo } from "#test/cli/fake-io.ts";

const quiet = { format: "table", logLevel: "info" } as const;

function runIn(io: FakeIo, work: (session: Session) => Promise<number>): Promise<number> {
  return runSession(io, quiet, work);
}

/** Waits as engines wait: on the clock, until the deadline's signal aborts. */
function untilStopped({ clock, deadline }: Session): Promise<number> {
  return clock.sleep(60_000, deadline.signal).then(() => 0);
}

describe("exit codes", () => {
  test.each(Object.keys(errorTable) as ErrorName[])(
    "%s ends with the table's code",
    async (name) => {
      const io = fakeIo();
      const exitCode = await runIn(io, async () => {
        throw new BackupError(name, "what and where");
      });
      expect(exitCode).toBe(errorTable[name].exitCode);
      expect(io.err()).toBe(`${name}: what and where\nhint: ${errorTable[name].hint}\n`);
    },
  );

  test("an error that is not ours ends with 1 and asks for a report", async () => {
    const io = fakeIo();
    const exitCode = await runIn(io, async () => {
      throw new TypeError("x is undefined");
    });
    expect(exitCode).toBe(1);
    expect(io.err()).toMatch(/^TypeError: x is undefined\nhint: .*report.*--log-level debug\.\n$/);
  });

  test("what an error quotes cannot steer the terminal", async () => {
    const io = fakeIo();
    await runIn(io, async () => {
      throw new BackupError("TopicNotFoundError", "topic \u001b[2Jgone\u0007");
    });
    expect(io.err()).toContain("TopicNotFoundError: topic \ufffd[2Jgone\ufffd\n");
  });
});

describe("signals", () => {
  test.each(["SIGINT", "SIGTERM", "SIGHUP"])(
    "%s stops the work, says how to go on",
    async (name) => {
      const io = fakeIo();
      const ended = runIn(io, untilStopped);
      io.signal(name);
      expect(await ended).toBe(130);
      expect(io.err()).toContain("Stopping; what is durable is kept.");
      expect(io.err()).toContain(`CancelledError: stopped by ${name}\n`);
      expect(io.err()).toContain("hint: The same command continues it.\n");
      expect(io.exits).toEqual([]);
    },
  );

  test("an AbortError that the signal caused is a cancellation", async () => {
    const io = fakeIo();
    const ended = runIn(io, ({ deadline }) =>
      sleep(60_000, 0, { signal: AbortSignal.any([deadline.signal]) }),
    );
    io.signal("SIGINT");
    expect(await ended).toBe(130);
  });

  test("an echo of the first signal changes nothing, a second one ends at once", async () => {
    const io = fakeIo();
    const ended = runIn(io, async (session) => {
      io.signal("SIGINT");
      io.signal("SIGINT");
      expect(io.exits).toEqual([]);
      await session.clock.sleep(350);
      io.signal("SIGINT");
      return 0;
    });
    await ended;
    expect(io.exits).toEqual([130]);
  });

  test("nothing listens to signals when the work is over", async () => {
    const io = fakeIo();
    await runIn(io, async () => {
      expect(io.listenerCount()).toBe(1);
      return 0;
    });
    expect(io.listenerCount()).toBe(0);
  });
});

describe("closing", () => {
  test("what was opened last is closed first, also after an error", async () => {
    const closed: string[] = [];
    const io = fakeIo();
    await runIn(io, async (session) => {
      for (const name of ["storage", "cluster"]) session.closeLater(() => closed.push(name));
      throw new BackupError("ThrottledError", "slow down");
    });
    expect(closed).toEqual(["cluster", "storage"]);
  });

  test("a failure to close is a failure, unless the work had one of its own", async () => {
    const fail = async () => {
      throw new BackupError("StorageUnavailableError", "closing");
    };
    const [afterSuccess, afterFailure] = [fakeIo(), fakeIo()];
    await runIn(afterSuccess, async (session) => {
      session.closeLater(fail);
      return 0;
    });
    expect(afterSuccess.err()).toContain("StorageUnavailableError: closing");
    await runIn(afterFailure, async (session) => {
      session.closeLater(fail);
      throw new BackupError("TopicNotFoundError", "orders");
    });
    expect(afterFailure.err()).toMatch(/^TopicNotFoundError: orders\n/);
  });

  test("everything is closed even where one of them fails to", async () => {
    const closed: string[] = [];
    const io = fakeIo();
    const exitCode = await runIn(io, async (session) => {
      session.closeLater(() => closed.push("storage"));
      session.closeLater(async () => {
        throw new BackupError("BrokerUnavailableError", "closing");
      });
      return 0;
    });
    expect(exitCode).toBe(1);
    expect(closed).toEqual(["storage"]);
  });
});
